//! Routing of tokens to experts: gate, plan, dispatch, experts, combine, and the losses that keep their load even.
//!
//! ```text
//! logits ─ gate ─► weights, indices ─ plan ─► permutation, inverse, offsets
//! x ─ dispatch ─► rows by expert ─ grouped products, activation ─► y ─ combine ─► o
//! ```
//!
//! Counts, indices and permutations are exact integers; nothing whose order matters is formed by atomics, so runs are bit-equal. Nothing is read
//! back in between: grids are sized for the most rows that there may be.

use serde::{Deserialize, Serialize};

/// Most experts.
pub const MAX_EXPERTS: usize = 1024;
/// Most experts of a token.
pub const MAX_TOP_K: usize = 64;
/// Most assignments, tokens times experts of a token.
pub const MAX_ASSIGNMENTS: usize = 1 << 24;

/// An index that stands for "no expert": a slot that is not filled.
pub const NO_EXPERT: u32 = (1 << 31) - 1;
/// A row that stands for "none": an assignment that was dropped, or a row that pads a block.
pub const NO_ROW: u32 = (1 << 31) - 1;
/// Bit of an index whose expert is outside the range of experts at hand: another device has it.
pub const ELSEWHERE: u32 = 1 << 31;

/// What a router's NaN logit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NanLogits {
    /// A mistake: [`SpecError::NonFiniteRouting`](crate::SpecError::NonFiniteRouting), and no outputs.
    #[default]
    Refuse,
    /// Its expert is not chosen by this token, as if its logit were `−∞`.
    Lowest,
}
