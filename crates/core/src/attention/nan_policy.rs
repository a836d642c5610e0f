//! What a value that is not a number does.

use serde::{Deserialize, Serialize};

/// What a NaN or an infinity in `q k v` does (biases must be finite, or `−∞` where that masks). WGSL lets a driver assume that there are
/// none, so arithmetic cannot be relied on to carry them: they are found by their bits.
///
/// `Exact`: a hidden key or value has no effect, whatever it holds. A query row becomes NaN as a whole, and only it, if the row's `q`
/// holds a NaN, if a key or value that it sees holds a NaN, if a value that it sees holds an infinity, or if a score that it sees is
/// infinite where the weight has no bound ([`Weight::bounded`](super::Weight::bounded)): for softmax `+∞`. Where it has one, the weight is
/// that: 0 for softmax at `−∞`, 1 for sigmoid at `+∞`. In the backward pass such a row's `d_q` is NaN, and so are `d_k` and `d_v` of every
/// key that takes part in a pair that is NaN (softmax and row sums: of every key that the row sees). A row whose `d_o` holds a number that is
/// not finite is one whose `q` holds a NaN. Gradients of biases take in every NaN that is summed into them. Of keys and values in int8 the
/// scales are looked at: what a scale makes NaN ([`Storage`](super::Storage)) is NaN here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NanPolicy {
    /// Scan the inputs and mark the rows concerned.
    #[default]
    Exact,
    /// Skip the scan: the caller vouches for finite inputs.
    Trust,
}
