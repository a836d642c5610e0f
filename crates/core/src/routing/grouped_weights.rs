//! The gradients of the weights of products by expert.

use serde::{Deserialize, Serialize};

use super::grouped::{GroupedGemm, check_offsets, check_sizes};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// The gradients of `w` and `bias` of [`GroupedGemm`]: sums over the rows of each expert.
///
/// ```text
/// d_w[e] = Σ_r x[r]ᵀ · d_y[r],   d_bias[e] = Σ_r d_y[r]     over the rows r of expert e, offsets[e] ≤ r < offsets[e + 1]
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x` | `[rows, k]` | `dtype` |
/// | `d_y` | `[rows, n]` | `dtype` |
/// | `offsets` | `[experts + 1]`, not descending, at most `rows` | u32 |
/// | → `d_w` | `[experts, k, n]`; `[experts, n, k]` if `transpose_w` | `dtype` |
/// | → `d_bias` | `[experts, n]`, if `bias` | f32 |
///
/// The gradients of an expert without rows are 0. With `transpose_w`, `d_w` is that of the op with `x` and `d_y` swapped. Sums are formed in
/// f32; a value that is not finite does what IEEE 754 says to the sums of its expert that it is a term of. Rows of no expert are not looked at.
/// `offsets` that a device made are taken as [`GroupedGemm`] takes them.
///
/// # Errors
/// As those of [`GroupedGemm`].
///
/// Source: Gale et al., *MegaBlocks: Efficient Sparse Training with Mixture-of-Experts* (MLSys 2023, arXiv 2211.15841).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupedGemmWeights {
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// Rows of all experts, with those of none; 0 is legal.
    pub rows: usize,
    /// Columns of `d_y`, at least 1.
    pub n: usize,
    /// Columns of `x`, at least 1.
    pub k: usize,
    /// Whether `d_w` is stored as `[experts, n, k]`.
    #[serde(default)]
    pub transpose_w: bool,
    /// Whether there is an output `d_bias [experts, n]`.
    #[serde(default)]
    pub bias: bool,
    /// Storage type of `x`, `d_y` and `d_w`.
    #[serde(default)]
    pub dtype: Dtype,
}

/// Inputs of [`GroupedGemmWeights`].
#[derive(Debug, Clone, Default)]
pub struct GroupedGemmWeightsInputs {
    /// `[rows, k]`.
    pub x: Tensor,
    /// `[rows, n]`.
    pub d_y: Tensor,
    /// `[experts + 1]`, u32.
    pub offsets: Tensor,
}

impl From<GroupedGemmWeightsInputs> for Tensors {
    fn from(i: GroupedGemmWeightsInputs) -> Self {
        Self::new().with("x", i.x).with("d_y", i.d_y).with("offsets", i.offsets)
    }
}

/// Outputs of [`GroupedGemmWeights`].
#[derive(Debug, Clone)]
pub struct GroupedGemmWeightsOutputs {
    /// `[experts, k, n]`, or `[experts, n, k]`.
    pub d_w: Tensor,
    /// `[experts, n]`, f32.
    pub d_bias: Option<Tensor>,
}

impl From<Tensors> for GroupedGemmWeightsOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { d_w: t.take("d_w").unwrap_or_default(), d_bias: t.take("d_bias") }
    }
}

impl GroupedGemmWeights {
    /// `d_w [experts, k, n]` from `x [rows, k]` and `d_y [rows, n]` in f32.
    pub fn new(experts: usize, rows: usize, n: usize, k: usize) -> Self {
        Self { experts, rows, n, k, transpose_w: false, bias: false, dtype: Dtype::F32 }
    }

    /// The product whose gradient it is.
    pub fn forward(&self) -> GroupedGemm {
        let &Self { experts, rows, n, k, transpose_w, bias, dtype } = self;
        GroupedGemm { experts, rows, n, k, transpose_w, bias, dtype }
    }

    /// How `d_w` is stored: experts, rows, columns.
    pub fn w_dims(&self) -> [usize; 3] {
        self.forward().w_dims()
    }
}

impl Op for GroupedGemmWeights {
    const NAME: &'static str = "grouped_gemm_weights";
    type Inputs = GroupedGemmWeightsInputs;
    type Outputs = GroupedGemmWeightsOutputs;

    fn operands(&self) -> Vec<Operand> {
        let mut all = vec![
            Operand::input("x", [self.rows, self.k], self.dtype),
            Operand::input("d_y", [self.rows, self.n], self.dtype),
            Operand::input("offsets", [self.experts + 1], Dtype::U32),
            Operand::output("d_w", self.w_dims(), self.dtype),
        ];
        all.extend(self.bias.then(|| Operand::output("d_bias", [self.experts, self.n], Dtype::F32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        check_sizes(self.experts, [("rows", self.rows, 0), ("n", self.n, 1), ("k", self.k, 1)], self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 2·rows·n·k, as if every row had an expert. What `d_bias` adds is not counted.
    fn cost(&self) -> Cost {
        Cost { bytes: operand_bytes(&self.operands()), ..self.forward().cost() }
    }

    fn label(&self) -> String {
        let (layout, bias) = (if self.transpose_w { "nt" } else { "tn" }, if self.bias { ".bias" } else { "" });
        format!("{layout}{bias}.{}", self.dtype)
    }

    fn size_label(&self) -> String {
        self.forward().size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        check_offsets(inputs, self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_the_options() {
        let spec = GroupedGemmWeights { bias: true, transpose_w: true, ..GroupedGemmWeights::new(3, 10, 5, 7) };
        let dims: Vec<_> = spec.operands().into_iter().map(|o| o.dims).collect();
        assert_eq!(dims, [vec![10, 7], vec![10, 5], vec![4], vec![3, 5, 7], vec![3, 5]]);
        assert_eq!((spec.label(), spec.size_label()), ("nt.bias.f32".into(), "E3 R10 N5 K7".into()));
    }

    #[test]
    fn inputs_are_looked_at() {
        let spec = GroupedGemmWeights::new(2, 9, 3, 4);
        let numbers = |dims: &[usize]| Tensor::f32(dims, vec![0.0; dims.iter().product()]).unwrap();
        let offsets = |all: [u32; 3]| Tensor::u32([3], all.to_vec()).unwrap();
        let given = |all| -> Tensors {
            GroupedGemmWeightsInputs { x: numbers(&[9, 4]), d_y: numbers(&[9, 3]), offsets: offsets(all) }.into()
        };
        assert_eq!(spec.check_inputs(&given([0, 4, 9])), Ok(()));
        let refused = |t: Tensors| spec.check_inputs(&t).unwrap_err().to_string();
        assert!(refused(given([0, 4, 3])).starts_with("offsets[2]: expected 4 to 9"));
        assert!(refused(given([10, 10, 10])).starts_with("offsets[0]: expected 0 to 9"));
        assert!(refused(given([0, 4, 9]).with("d_y", numbers(&[9, 4]))).starts_with("d_y: expected shape [9, 3]"));
        assert!(refused(given([0, 4, 9]).with("w", numbers(&[2, 4, 3]))).starts_with("w: given"));
    }
}
