//! Fuzz targets that need no device. Each is a plain function of bytes: `cargo xtask fuzz` lets libFuzzer find bytes, the tests of this package
//! replay those that are kept in `corpus/`.
//!
//! A target panics where something is wrong; so does what it calls. Bytes are read by [`draw::Draw`], which never runs out (it then gives zeros),
//! so any bytes are a case. Specs of all ops are made in one way: a spec of the reference's own cases as JSON, some of it replaced ([`specs`]).

#![forbid(unsafe_code)]

pub mod draw;
pub mod limits;
pub mod ops;
pub mod plans;
pub mod specs;
pub mod values;

mod contents;
mod planner;
mod precision;
mod shapes;

pub use contents::contents;
pub use planner::planner;
pub use precision::precision;
pub use shapes::shapes;
