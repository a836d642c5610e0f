//! Balancing without a loss: the bias by which a router selects, moved against the load.

use serde::{Deserialize, Serialize};

use super::MAX_EXPERTS;
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// A step of the bias that is added to scores for the selection of experts, and to nothing else: down by `rate` where an expert has more than
/// the mean of the counts, up where it has less, in place.
///
/// ```text
/// selection_bias[e] += rate·sign(mean(counts) − counts[e])
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `counts` | `[experts]` | u32: choices before any are dropped for capacity, added up over micro-batches and devices |
/// | `selection_bias`, updated | `[experts]` | f32 |
///
/// The comparison is exact, for all counts. Where a count is the mean, and where the bias is not a finite number, the bias keeps its bits.
///
/// Source: Wang et al., *Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts* (arXiv 2408.15664).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionBiasUpdate {
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// How far a bias moves, 0 or more and finite.
    pub rate: f32,
}

impl SelectionBiasUpdate {
    /// An update by `rate`; DeepSeek-V3 takes 0.001.
    pub fn new(experts: usize, rate: f32) -> Self {
        Self { experts, rate }
    }
}

/// Inputs of [`SelectionBiasUpdate`].
#[derive(Debug, Clone, Default)]
pub struct SelectionBiasInputs {
    /// `[experts]`, u32.
    pub counts: Tensor,
    /// `[experts]`, f32: the bias before.
    pub selection_bias: Tensor,
}

impl From<SelectionBiasInputs> for Tensors {
    fn from(i: SelectionBiasInputs) -> Self {
        Self::new().with("counts", i.counts).with("selection_bias", i.selection_bias)
    }
}

/// Outputs of [`SelectionBiasUpdate`].
#[derive(Debug, Clone)]
pub struct SelectionBiasOutputs {
    /// `[experts]`, f32: the bias after.
    pub selection_bias: Tensor,
}

impl From<Tensors> for SelectionBiasOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { selection_bias: t.take("selection_bias").unwrap_or_default() }
    }
}

impl Op for SelectionBiasUpdate {
    const NAME: &'static str = "selection_bias_update";
    type Inputs = SelectionBiasInputs;
    type Outputs = SelectionBiasOutputs;

    fn operands(&self) -> Vec<Operand> {
        let counts = Operand::input("counts", [self.experts], Dtype::U32);
        vec![counts, Operand::updated("selection_bias", [self.experts], Dtype::F32)]
    }

    fn validate(&self) -> Result<(), SpecError> {
        let given = self.experts;
        if given == 0 || given > MAX_EXPERTS {
            return Err(SpecError::Dim { dim: "experts", expected: format!("1 to {MAX_EXPERTS}"), given });
        }
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            let (expected, given) = ("a finite number, 0 or more".into(), self.rate.to_string());
            return Err(SpecError::Option { option: "rate", expected, given });
        }
        check_addressable(&self.operands())
    }

    /// FLOPs: 2 per expert.
    fn cost(&self) -> Cost {
        Cost { flops: 2.0 * self.experts as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        "sign.f32".into()
    }

    fn size_label(&self) -> String {
        format!("E{}", self.experts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        assert_eq!(SelectionBiasUpdate::new(1, 0.0).validate(), Ok(()));
        for (experts, rate, named) in [
            (0, 0.1, "experts"),
            (1025, 0.1, "experts"),
            (2, -0.1, "rate"),
            (2, f32::NAN, "rate"),
            (2, f32::INFINITY, "rate"),
        ] {
            let message = SelectionBiasUpdate::new(experts, rate).validate().unwrap_err().to_string();
            assert!(message.starts_with(named), "{message}");
        }
        let op = SelectionBiasUpdate::new(2, 0.1);
        let good = Tensors::new()
            .with("counts", Tensor::u32([2], vec![1, 2]).unwrap())
            .with("selection_bias", Tensor::f32([2], vec![0.0; 2]).unwrap());
        assert_eq!(op.check_inputs(&good), Ok(()));
        for name in ["counts", "selection_bias"] {
            let wrong = good.clone().with(name, Tensor::f16([2], vec![half::f16::ONE; 2]).unwrap());
            assert!(op.check_inputs(&wrong).unwrap_err().to_string().starts_with(name));
        }
    }
}
