//! What is done to rows of `o` when the sum over the values is there.

use serde::{Deserialize, Serialize};

use super::{Activation, Attention, Injection, RowNorm, Sequences};
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
/// where `x_i = Σ_j P_ij v̂_j`, or, with `affine`, `x_i = alpha_i·Σ_j P_ij v̂_j + (alpha_mean_h − alpha_i)·mean_j v̂_j` over the keys that the
/// query sees. Or, alone, [`Injection`].
///
/// | operand | shape | type |
/// |---|---|---|
/// | `alpha` | `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | f32 |
/// | `alpha_mean` | `[q_heads]` | f32, without a gradient |
/// | `gate` | `[batch, q_heads, seq_q, val_dim]` (shape of `o`), or per head `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | `dtype`, or per head f32 |
/// | `o_gain` | `[val_dim]` | f32 |
/// | → `o_core` | shape of `o` | `dtype`: `Σ_j P_ij v̂_j`, which the gradient needs |
///
/// The gradient op takes `o_core` and returns `d_gate` in the type of `gate`, and `d_o_gain` and `d_alpha` in f32.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Epilogue {
    /// Whether rows are scaled by an input `alpha` and moved towards the mean of the values that they see (Affine-Scaled Attention), so that
    /// weights of sum 1 come to add up to an input `alpha_mean`. Not with what may hide keys one by one (`key_bias`, `score_bias`, a custom mask) or
    /// paged sequences.
    pub affine: bool,
    /// Whether there is an input `gate`.
    pub gate: Option<Gate>,
    /// Norm of every row of the output.
    pub norm: Option<RowNorm>,
    /// Whether what is normalised is multiplied by an input `o_gain`.
    pub gain: bool,
    /// Whether the gate follows the norm.
    pub gate_last: bool,
    /// Whether and where a vector per head is mixed in: alone, without any of the above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub injection: Option<Injection>,
}

impl Epilogue {
    /// Whether there is nothing to do.
    pub const fn is_none(&self) -> bool {
        !self.affine && !self.maps_rows() && self.injection.is_none()
    }

    /// Whether rows are changed each by itself: gated or normalised.
    pub const fn maps_rows(&self) -> bool {
        self.gate.is_some() || self.norm.is_some()
    }

    /// The inputs that have a gradient and the shapes and types that they share with their gradients.
    pub(super) fn operands(&self, a: &Attention) -> Vec<(&'static str, Vec<usize>, Dtype)> {
        let mut all = Vec::new();
        all.extend(self.affine.then(|| ("alpha", a.row_dims(), Dtype::F32)));
        all.extend(self.gate.map(|gate| match gate.per_head {
            true => ("gate", a.row_dims(), Dtype::F32),
            false => ("gate", a.query_dims(a.dims.val_dim), a.dtype),
        }));
        all.extend(self.gain.then(|| ("o_gain", vec![a.dims.val_dim], Dtype::F32)));
        all.extend(self.injection.map(|_| Injection::operands(a)).into_iter().flatten());
        all
    }

    pub(super) fn inputs(&self, a: &Attention) -> impl Iterator<Item = Operand> {
        let mean = self.affine.then(|| Operand::input("alpha_mean", [a.dims.q_heads], Dtype::F32));
        self.operands(a).into_iter().map(|(name, dims, dtype)| Operand::input(name, dims, dtype)).chain(mean)
    }

    pub(super) fn validate(&self, a: &Attention) -> Result<(), SpecError> {
        RowNorm::validate(self.norm, "epilogue.norm")?;
        Injection::validate(self)?;
        if self.affine {
            check_affine(a)?;
        }
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
        all.extend(self.affine.then(|| "affine".into()));
        all.extend(self.gate.map(|g| {
            let shape = if g.per_head { "head" } else { "element" };
            format!("gate_{shape}_{}", g.activation.name())
        }));
        all.extend(self.norm.map(|n| format!("o_{}", n.name())));
        all.extend(self.gain.then(|| "o_gain".into()));
        all.extend(self.gate_last.then(|| "gate_last".into()));
        all.extend(self.injection.map(|i| i.name().into()));
        all
    }
}

/// The mean is over a range of keys, each of which the query sees.
fn check_affine(a: &Attention) -> Result<(), SpecError> {
    let conflict = |with, reason| Err(SpecError::Conflict { option: "epilogue.affine", with, reason });
    if let Some(with) = a.hider() {
        return conflict(with, "it may hide keys inside the range whose values are averaged");
    }
    if matches!(a.sequences, Sequences::Paged { .. }) {
        return conflict("sequences: paged", "values in pages have no sums over ranges");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Dims, ScoreBias};
    use crate::{AttentionBackward, Op, Role};

    fn affine() -> Attention {
        let epilogue = Epilogue { affine: true, ..Epilogue::default() };
        Attention { epilogue, ..Attention::softmax(Dims { q_heads: 4, kv_heads: 2, ..Dims::new(3, 2, 5, 8) }) }
    }

    #[test]
    fn what_hides_keys_one_by_one_has_no_affine() {
        assert!(affine().validate().is_ok());
        for other in [
            Attention { key_bias: true, ..affine() },
            Attention { score_bias: Some(ScoreBias::default()), ..affine() },
            Attention { sequences: Sequences::Paged { page: 4, pages: 9 }, ..affine() },
        ] {
            assert!(matches!(other.validate(), Err(SpecError::Conflict { option: "epilogue.affine", .. })));
        }
    }

    #[test]
    fn the_mean_has_no_gradient() {
        let operands = AttentionBackward::new(affine()).operands();
        let find = |role, name| operands.iter().find(|o| o.role == role && o.name == name).map(|o| o.dims.clone());
        assert_eq!(find(Role::Input, "alpha"), Some(vec![3, 4, 5]));
        assert_eq!(find(Role::Input, "alpha_mean"), Some(vec![4]));
        assert_eq!(find(Role::Output, "d_alpha"), Some(vec![3, 4, 5]));
        assert_eq!(find(Role::Output, "d_alpha_mean"), None);
        assert!(find(Role::Input, "o_core").is_some());
    }
}
