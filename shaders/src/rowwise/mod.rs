//! Rowwise.
