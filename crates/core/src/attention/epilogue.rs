//! What is done to rows of `o` when the sum over the values is there.

use serde::{Deserialize, Serialize};

use super::{Activation, Attention, RowNorm};
use crate::{Dtype, Operand, SpecError};

/// A gate on the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// What becomes of the logits of the gate.
    pub activation: Activation,
    /// Whether a query has one number for all dims (headwise), rather than one for each (elementwise).
    pub per_head: bool,
}

impl Gate {
    /// Sigmoid, elementwise: the form G1 of *Gated Attention for Large Language Models* (arXiv 2505.06708) that does best there.
    pub const ELEMENT: Self = Self { activation: Activation::Sigmoid, per_head: false };
    /// Sigmoid, headwise.
    pub const HEAD: Self = Self { activation: Activation::Sigmoid, per_head: true };
}

/// What is done to rows of the output: `o_i = gain ∘ norm(act(gate_i) ∘ x_i)`, or, with `gate_last`, `o_i = act(gate_i) ∘ gain ∘ norm(x_i)`,
/// where `x_i = Σ_j P_ij v_j`.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `gate` | `[batch, q_heads, seq_q, val_dim]` (shape of `o`), or per head `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | `dtype`, or per head f32 |
/// | `o_gain` | `[val_dim]` | f32 |
/// | → `o_core` | shape of `o` | `dtype`: `x`, which the gradient needs |
///
/// The gradient op takes `o_core` and returns `d_gate` in the type of `gate`, and `d_o_gain` in f32.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Epilogue {
    /// Whether there is an input `gate`.
    pub gate: Option<Gate>,
    /// Norm of every row of the output.
    pub norm: Option<RowNorm>,
    /// Whether what is normalised is multiplied by an input `o_gain`.
    pub gain: bool,
    /// Whether the gate follows the norm.
    pub gate_last: bool,
}

impl Epilogue {
    /// Whether there is nothing to do.
    pub const fn is_none(&self) -> bool {
        self.gate.is_none() && self.norm.is_none()
    }

    /// The inputs and the shapes and types that they share with their gradients.
    pub(super) fn operands(&self, a: &Attention) -> Vec<(&'static str, Vec<usize>, Dtype)> {
        let mut all = Vec::new();
        all.extend(self.gate.map(|gate| match gate.per_head {
            true => ("gate", a.row_dims(), Dtype::F32),
            false => ("gate", a.query_dims(a.dims.val_dim), a.dtype),
        }));
        all.extend(self.gain.then(|| ("o_gain", vec![a.dims.val_dim], Dtype::F32)));
        all
    }

    pub(super) fn inputs(&self, a: &Attention) -> impl Iterator<Item = Operand> {
        self.operands(a).into_iter().map(|(name, dims, dtype)| Operand::input(name, dims, dtype))
    }

    pub(super) fn validate(&self) -> Result<(), SpecError> {
        RowNorm::validate(self.norm, "epilogue.norm")?;
        let conflict = |option, reason| Err(SpecError::Conflict { option, with: "epilogue", reason });
        if self.gain && self.norm.is_none() {
            return conflict("epilogue.gain", "there is no norm that it could follow");
        }
        if self.gate_last && (self.gate.is_none() || self.norm.is_none()) {
            return conflict("epilogue.gate_last", "an order needs both a gate and a norm");
        }
        Ok(())
    }

    /// What shows in a label.
    pub(super) fn label(&self) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(self.gate.map(|g| {
            let shape = if g.per_head { "head" } else { "element" };
            format!("gate_{shape}_{}", g.activation.name())
        }));
        all.extend(self.norm.map(|n| format!("o_{}", n.name())));
        all.extend(self.gain.then(|| "o_gain".into()));
        all.extend(self.gate_last.then(|| "gate_last".into()));
        all
    }
}
