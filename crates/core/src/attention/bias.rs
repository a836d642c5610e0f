//! What is added to a score.

use serde::{Deserialize, Serialize};

use super::Attention;
use crate::{Dtype, Operand, SpecError};

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

/// A bias by relative position, input `relative_bias [q_heads, 2·reach + 1]` in f32, finite: query `i` and key `j` get the element
/// `clamp(j − (i + off), −reach, reach) + reach` of their head's row (Shaw et al., arXiv 1803.02155; T5, arXiv 1910.10683; Swin, arXiv 2103.14030,
/// whose windows of one dimension these are). Positions count within the sequence, as ALiBi's do.
///
/// A table by distance holds every bias by buckets, T5's among them: the caller writes each bucket's number to all distances that share it, and
/// adds their gradients up. The forward pass reads an element a pair. The gradient forms all scores and `d_o·v` once more (two products beside the
/// seven of `d_q`, `d_k` and `d_v`) and sums by `j − i` in a scratch of some hundreds of bytes a head and position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelativeBias {
    /// The distance from which all have the same bias, less than 2²⁰.
    pub reach: u32,
}

impl Attention {
    fn relative_dims(&self) -> Option<[usize; 2]> {
        self.relative_bias.map(|table| [self.dims.q_heads, 2 * table.reach as usize + 1])
    }

    pub(super) fn relative_input(&self) -> Option<Operand> {
        self.relative_dims().map(|dims| Operand::input("relative_bias", dims, Dtype::F32))
    }

    pub(super) fn relative_gradient(&self) -> Option<Operand> {
        self.relative_dims().map(|dims| Operand::output("d_relative_bias", dims, Dtype::F32))
    }

    pub(super) fn check_relative(&self) -> Result<(), SpecError> {
        let Some(RelativeBias { reach }) = self.relative_bias else { return Ok(()) };
        if reach >= 1 << 20 {
            let (expected, given) = ("less than 2^20".into(), reach.to_string());
            return Err(SpecError::Option { option: "relative_bias.reach", expected, given });
        }
        let others = [
            ("score_bias", self.score_bias.is_some()),
            ("prologue.query_penalty", self.prologue.query_penalty.is_some()),
        ];
        match others.into_iter().find(|(_, there)| *there) {
            Some((with, _)) => {
                Err(SpecError::Conflict { option: "relative_bias", with, reason: "no kernel reads both" })
            }
            None => Ok(()),
        }
    }
}
