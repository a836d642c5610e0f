//! A test case: what is computed, and from which numbers.

use gatefold_core::{Op, Tensors};

/// Seeds of attention's forward pass and of products from here on stand for the cases from 0 on in f16, attention's with widths that matrix
/// units can multiply.
pub const HALVES: u64 = 1 << 32;

/// A case of op `O`, replayable from its seed.
#[derive(Debug, Clone)]
pub struct Case<O> {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// The spec.
    pub op: O,
    /// Every input of the spec.
    pub inputs: Tensors,
    /// What is special about it, in words. Contains "degenerate" where many outputs are zero, NaN or tiny by design, so that a check
    /// that most outputs say something would be out of place.
    pub note: String,
}

impl<O: Op> Case<O> {
    /// Whether many outputs may be zero, NaN or tiny by design.
    pub fn is_degenerate(&self) -> bool {
        self.note.contains("degenerate")
    }
}
