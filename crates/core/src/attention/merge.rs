//! Parts of an attention whose keys were split between calls, joined.

use serde::{Deserialize, Serialize};

use super::MAX_DIM;
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Most parts of a merge.
pub const MAX_PARTS: usize = 4096;

/// Joins the outputs of calls of [`Attention`](super::Attention) on the same queries and different keys: a cache split over several adapters or machines,
/// ring attention, keys that arrive in pieces. `rows` counts queries over batch and heads; any layout will do, as long as `lse` has the
/// same.
///
/// ```text
/// softmax (lse)      lse = ln Σ_s exp lse_s,   o = Σ_s exp(lse_s − lse) o_s
/// sigmoid (no lse)   o = Σ_s o_s
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `o_parts` | `[parts, rows, val_dim]` | `dtype` |
/// | `lse_parts` | `[parts, rows]` | f32, natural logarithm; if `lse` |
/// | → `o` | `[rows, val_dim]` | `dtype` |
/// | → `lse` | `[rows]` | f32; if `lse` |
///
/// A part with `lse_s = −∞` saw no key: its `o` is not looked at. If all are so, `o = 0` and `lse = −∞`. A NaN or `+∞` in `lse_parts` makes its row
/// NaN; what is not finite in a part that counts makes its element NaN. A sink must be in one part only, and a bias `−ln seq_kv` is that
/// of all keys: give it as a constant.
///
/// Source: Dao et al., *Flash-Decoding* (2023); Liu et al., *Ring Attention* (arXiv 2310.01889).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionMerge {
    /// Parts, 1 to 4096.
    pub parts: usize,
    /// Queries of all heads and batch entries; 0 is legal.
    pub rows: usize,
    /// Width of the outputs, 1 to 256.
    pub val_dim: usize,
    /// Whether parts are weighed by their `lse` (softmax) or simply added (sigmoid).
    #[serde(default)]
    pub lse: bool,
    /// Storage type of `o_parts` and `o`.
    #[serde(default)]
    pub dtype: Dtype,
}

impl AttentionMerge {
    /// A merge of `parts` softmax attentions in f32.
    pub fn softmax(parts: usize, rows: usize, val_dim: usize) -> Self {
        Self { parts, rows, val_dim, lse: true, dtype: Dtype::F32 }
    }

    /// A merge of `parts` sigmoid attentions in f32.
    pub fn sigmoid(parts: usize, rows: usize, val_dim: usize) -> Self {
        Self { lse: false, ..Self::softmax(parts, rows, val_dim) }
    }
}

/// Inputs of [`AttentionMerge`].
#[derive(Debug, Clone, Default)]
pub struct MergeInputs {
    /// `[parts, rows, val_dim]`.
    pub o_parts: Tensor,
    /// `[parts, rows]`, f32.
    pub lse_parts: Option<Tensor>,
}

impl From<MergeInputs> for Tensors {
    fn from(i: MergeInputs) -> Self {
        Self::new().with("o_parts", i.o_parts).with_some("lse_parts", i.lse_parts)
    }
}

/// Outputs of [`AttentionMerge`].
#[derive(Debug, Clone)]
pub struct MergeOutputs {
    /// `[rows, val_dim]`.
    pub o: Tensor,
    /// `[rows]`, f32.
    pub lse: Option<Tensor>,
}

impl From<Tensors> for MergeOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { o: t.take("o").unwrap_or_default(), lse: t.take("lse") }
    }
}

impl Op for AttentionMerge {
    const NAME: &'static str = "attention_merge";
    type Inputs = MergeInputs;
    type Outputs = MergeOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { parts, rows, val_dim, lse, dtype } = self;
        let mut all = vec![Operand::input("o_parts", [parts, rows, val_dim], dtype)];
        all.extend(lse.then(|| Operand::input("lse_parts", [parts, rows], Dtype::F32)));
        all.push(Operand::output("o", [rows, val_dim], dtype));
        all.extend(lse.then(|| Operand::output("lse", [rows], Dtype::F32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        for (dim, given, most) in [("parts", self.parts, MAX_PARTS), ("val_dim", self.val_dim, MAX_DIM)] {
            if given == 0 || given > most {
                return Err(SpecError::Dim { dim, expected: format!("1 to {most}"), given });
            }
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: a multiply-add per element of `o_parts`.
    fn cost(&self) -> Cost {
        let flops = 2.0 * self.parts as f64 * self.rows as f64 * self.val_dim as f64;
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("{}.{}", if self.lse { "softmax" } else { "sum" }, self.dtype)
    }

    fn size_label(&self) -> String {
        format!("P{} R{} D{}", self.parts, self.rows, self.val_dim)
    }
}
