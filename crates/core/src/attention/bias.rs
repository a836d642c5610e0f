//! What is added to a score.

use serde::{Deserialize, Serialize};

/// The bias that is the same for all scores of a batch entry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// A number.
    Const(f32),
    /// `−ln seq_kv`: FlashSigmoid's `b = −log n`, the same for all rows, causal or not.
    NegLogKeys,
    /// `−ln len_kv` of the batch entry: TritonSigmoid's.
    NegLogLen,
}

impl Default for Bias {
    fn default() -> Self {
        Self::Const(0.0)
    }
}

/// A dense additive bias `score_bias [batch | 1, q_heads | 1, seq_q, seq_kv]`, f32. `−∞` masks the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreBias {
    /// One bias for each batch entry instead of one for all.
    #[serde(default)]
    pub per_batch: bool,
    /// One bias for each query head instead of one for all.
    #[serde(default)]
    pub per_head: bool,
}
