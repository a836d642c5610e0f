//! The function that turns a score into a weight.

use serde::{Deserialize, Serialize};

/// Weight of a key from its score `z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// `P = exp(z − lse)`, `lse = ln Σ exp z`: each row sums to one.
    #[default]
    Softmax,
    /// `P = σ(z) = 1 / (1 + exp(−z))`, each key on its own: no row statistics at all (FlashSigmoid, arXiv 2409.04431).
    Sigmoid,
}

impl Weight {
    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// Whether the weights of a row depend on each other (and so need `lse` and `delta`).
    pub const fn couples_row(self) -> bool {
        matches!(self, Self::Softmax)
    }
}
