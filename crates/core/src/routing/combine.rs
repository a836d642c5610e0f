//! Experts' rows summed by token, and the gradient of the sum.

use serde::{Deserialize, Serialize};

use super::dispatch::{MoeDispatch, check_entries, check_rejected, check_sizes};
use crate::op::operand_bytes;
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Sums the rows that experts made of each token.
///
/// ```text
/// weighted       o_t = Σ_j weights_tj · y[inverse_tj]
/// not weighted   o_t = Σ_j y[inverse_tj]
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `y` | `[rows, hidden]` | `dtype` |
/// | `weights` | `[tokens, top_k]` | f32; if `weighted` |
/// | `inverse` | `[tokens, top_k]` | u32: a row or [`NO_ROW`](super::NO_ROW) |
/// | → `o` | `[tokens, hidden]` | `dtype` |
/// | → `rejected` | `[2]` | u32: how many entries of `inverse` are neither, and the first of them or `NO_ROW`; if `report` |
///
/// Each token gathers its rows in the order of its slots, in f32, so runs are bit-equal. A slot of `NO_ROW`, an assignment that was dropped or
/// that another device has, adds exactly nothing, whatever its weight is; so does an entry that is not legal, which with `report` is an error
/// as well ([`SpecError::BadIndex`]). What is not finite in a term that counts, row or weight, makes its element NaN.
///
/// Without weights it is the gradient of [`MoeDispatch`] with respect to `x`. Its own gradients are [`MoeCombineBackward`], and without
/// weights [`MoeCombine::gradient`].
///
/// Source: Shazeer et al., *Outrageously Large Neural Networks* (arXiv 1701.06538), equation 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoeCombine {
    /// Tokens; 0 is legal.
    pub tokens: usize,
    /// Experts of a token, k: 1 to 64.
    pub top_k: usize,
    /// Width of a row, 1 to 65,536.
    pub hidden: usize,
    /// Rows of the plan; 0 is legal.
    pub rows: usize,
    /// Whether rows are weighed.
    #[serde(default)]
    pub weighted: bool,
    /// Storage type of `y` and `o`.
    #[serde(default)]
    pub dtype: Dtype,
    /// Whether entries that are not legal are counted.
    #[serde(default)]
    pub report: bool,
}

impl MoeCombine {
    /// A weighted sum in f32, without report.
    pub fn new(tokens: usize, top_k: usize, hidden: usize, rows: usize) -> Self {
        Self { tokens, top_k, hidden, rows, weighted: true, dtype: Dtype::F32, report: false }
    }

    /// The op that gives the gradients of a weighted sum.
    pub fn backward(&self) -> MoeCombineBackward {
        let &Self { tokens, top_k, hidden, rows, dtype, .. } = self;
        MoeCombineBackward { tokens, top_k, hidden, rows, dtype }
    }

    /// The op that gives `d_y` of a plain sum: each row gets its token's `d_o`, its `x` being `d_o`, its `y` being `d_y`.
    pub fn gradient(&self) -> MoeDispatch {
        let &Self { tokens, top_k, hidden, rows, dtype, report, .. } = self;
        MoeDispatch { tokens, top_k, hidden, rows, dtype, report }
    }

    fn sizes(&self) -> [usize; 4] {
        [self.tokens, self.top_k, self.hidden, self.rows]
    }
}

/// Inputs of [`MoeCombine`].
#[derive(Debug, Clone, Default)]
pub struct CombineInputs {
    /// `[rows, hidden]`.
    pub y: Tensor,
    /// `[tokens, top_k]`, f32.
    pub weights: Option<Tensor>,
    /// `[tokens, top_k]`, u32.
    pub inverse: Tensor,
}

impl From<CombineInputs> for Tensors {
    fn from(i: CombineInputs) -> Self {
        Self::new().with("y", i.y).with_some("weights", i.weights).with("inverse", i.inverse)
    }
}

/// Outputs of [`MoeCombine`].
#[derive(Debug, Clone)]
pub struct CombineOutputs {
    /// `[tokens, hidden]`.
    pub o: Tensor,
    /// `[2]`, u32.
    pub rejected: Option<Tensor>,
}

impl From<Tensors> for CombineOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { o: t.take("o").unwrap_or_default(), rejected: t.take("rejected") }
    }
}

impl Op for MoeCombine {
    const NAME: &'static str = "moe_combine";
    type Inputs = CombineInputs;
    type Outputs = CombineOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { tokens, top_k, hidden, rows, weighted, dtype, report } = self;
        let mut all = vec![Operand::input("y", [rows, hidden], dtype)];
        all.extend(weighted.then(|| Operand::input("weights", [tokens, top_k], Dtype::F32)));
        all.push(Operand::input("inverse", [tokens, top_k], Dtype::U32));
        all.push(Operand::output("o", [tokens, hidden], dtype));
        all.extend(report.then(|| Operand::output("rejected", [2], Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        check_sizes(self.sizes(), self.dtype, &self.operands())
    }

    /// FLOPs: a multiply-add per element that is read.
    fn cost(&self) -> Cost {
        let flops = 2.0 * self.tokens as f64 * self.top_k as f64 * self.hidden as f64;
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let weighted = if self.weighted { "weighted" } else { "sum" };
        format!("{weighted}{}.{}", if self.report { ".report" } else { "" }, self.dtype)
    }

    fn size_label(&self) -> String {
        format!("T{} k{} H{} S{}", self.tokens, self.top_k, self.hidden, self.rows)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        check_entries(inputs, "inverse", self.rows)
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        check_rejected(outputs, "inverse", self.rows)
    }
}

/// The gradients of a weighted [`MoeCombine`].
///
/// ```text
/// d_y[row]    = weights[a] · d_o[a / k],   a = permutation[row];   0 where a = NO_ROW
/// d_weights_a = ⟨y[inverse_a], d_o[a / k]⟩;                        0 where inverse_a = NO_ROW
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `y` | `[rows, hidden]` | `dtype` |
/// | `weights` | `[tokens, top_k]` | f32 |
/// | `inverse` | `[tokens, top_k]` | u32: a row or [`NO_ROW`](super::NO_ROW) |
/// | `permutation` | `[rows]` | u32: an assignment `t·k + j` or `NO_ROW` |
/// | `d_o` | `[tokens, hidden]` | `dtype` |
/// | → `d_y` | `[rows, hidden]` | `dtype` |
/// | → `d_weights` | `[tokens, top_k]` | f32 |
///
/// `permutation` and `inverse` are those of one plan. Entries that are not legal count as `NO_ROW`. What is not finite in a number that counts
/// makes its elements NaN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoeCombineBackward {
    /// Tokens; 0 is legal.
    pub tokens: usize,
    /// Experts of a token, k: 1 to 64.
    pub top_k: usize,
    /// Width of a row, 1 to 65,536.
    pub hidden: usize,
    /// Rows of the plan; 0 is legal.
    pub rows: usize,
    /// Storage type of `y`, `d_o` and `d_y`.
    #[serde(default)]
    pub dtype: Dtype,
}

/// Inputs of [`MoeCombineBackward`].
#[derive(Debug, Clone, Default)]
pub struct CombineBackwardInputs {
    /// `[rows, hidden]`.
    pub y: Tensor,
    /// `[tokens, top_k]`, f32.
    pub weights: Tensor,
    /// `[tokens, top_k]`, u32.
    pub inverse: Tensor,
    /// `[rows]`, u32.
    pub permutation: Tensor,
    /// `[tokens, hidden]`.
    pub d_o: Tensor,
}

impl From<CombineBackwardInputs> for Tensors {
    fn from(i: CombineBackwardInputs) -> Self {
        let lists = Self::new().with("inverse", i.inverse).with("permutation", i.permutation);
        lists.with("y", i.y).with("weights", i.weights).with("d_o", i.d_o)
    }
}

/// Outputs of [`MoeCombineBackward`].
#[derive(Debug, Clone)]
pub struct CombineBackwardOutputs {
    /// `[rows, hidden]`.
    pub d_y: Tensor,
    /// `[tokens, top_k]`, f32.
    pub d_weights: Tensor,
}

impl From<Tensors> for CombineBackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { d_y: t.take("d_y").unwrap_or_default(), d_weights: t.take("d_weights").unwrap_or_default() }
    }
}

impl Op for MoeCombineBackward {
    const NAME: &'static str = "moe_combine_backward";
    type Inputs = CombineBackwardInputs;
    type Outputs = CombineBackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { tokens, top_k, hidden, rows, dtype } = self;
        vec![
            Operand::input("y", [rows, hidden], dtype),
            Operand::input("weights", [tokens, top_k], Dtype::F32),
            Operand::input("inverse", [tokens, top_k], Dtype::U32),
            Operand::input("permutation", [rows], Dtype::U32),
            Operand::input("d_o", [tokens, hidden], dtype),
            Operand::output("d_y", [rows, hidden], dtype),
            Operand::output("d_weights", [tokens, top_k], Dtype::F32),
        ]
    }

    fn validate(&self) -> Result<(), SpecError> {
        check_sizes([self.tokens, self.top_k, self.hidden, self.rows], self.dtype, &self.operands())
    }

    /// FLOPs: a product per element of `d_y`, a multiply-add per element of each assignment's dot product.
    fn cost(&self) -> Cost {
        let assignments = self.tokens as f64 * self.top_k as f64;
        let flops = (self.rows as f64 + 2.0 * assignments) * self.hidden as f64;
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("weighted.{}", self.dtype)
    }

    fn size_label(&self) -> String {
        format!("T{} k{} H{} S{}", self.tokens, self.top_k, self.hidden, self.rows)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        check_entries(inputs, "inverse", self.rows)?;
        check_entries(inputs, "permutation", self.tokens * self.top_k)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NO_ROW;
    use super::*;

    fn legal(operands: &[Operand]) -> Tensors {
        let zeros = |o: &Operand| match o.dtype {
            Dtype::U32 => Tensor::u32(o.dims.clone(), vec![0; o.len()]),
            float => Tensor::float(float, o.dims.clone(), vec![0.25; o.len()]),
        };
        let given = operands.iter().filter(|o| o.role.is_given());
        given.map(|o| (o.name.to_string(), zeros(o).unwrap())).collect()
    }

    #[test]
    fn sizes_out_of_range_are_named() {
        let op = MoeCombine::new(2, 2, 3, 5);
        for (name, bad) in [
            ("top_k", MoeCombine { top_k: 65, ..op.clone() }),
            ("hidden", MoeCombine { hidden: 0, ..op.clone() }),
            ("rows", MoeCombine { rows: usize::MAX, ..op.clone() }),
            ("tokens", MoeCombine { tokens: usize::MAX, ..op.clone() }),
        ] {
            assert!(matches!(bad.validate(), Err(SpecError::Dim { dim, .. }) if dim == name), "{bad:?}");
            assert!(matches!(bad.backward().validate(), Err(SpecError::Dim { dim, .. }) if dim == name), "{bad:?}");
        }
        let words = MoeCombine { dtype: Dtype::U32, ..op };
        assert!(matches!(words.validate(), Err(SpecError::Option { option: "dtype", .. })));
    }

    #[test]
    fn operands_and_entries_are_named() {
        let op = MoeCombine::new(2, 2, 3, 5);
        let good = legal(&op.operands());
        assert_eq!(op.check_inputs(&good), Ok(()));
        let plain = MoeCombine { weighted: false, ..op.clone() };
        assert!(
            matches!(plain.check_inputs(&good), Err(SpecError::Unexpected { operand, .. }) if operand == "weights")
        );
        let inverse = |bad| Tensor::u32([2, 2], [0, NO_ROW, bad, 4]).unwrap();
        assert_eq!(op.check_inputs(&good.clone().with("inverse", inverse(4))), Ok(()));
        let found = op.check_inputs(&good.clone().with("inverse", inverse(5)));
        assert!(matches!(found, Err(SpecError::Value { operand, index: 2, .. }) if operand == "inverse"));
        let backward = op.backward();
        let good = legal(&backward.operands());
        assert_eq!(backward.check_inputs(&good), Ok(()));
        for (name, list) in [("inverse", inverse(5)), ("permutation", Tensor::u32([5], [0, 1, 4, 2, 3]).unwrap())] {
            let found = backward.check_inputs(&good.clone().with(name, list));
            assert!(matches!(found, Err(SpecError::Value { operand, index: 2, .. }) if operand == name));
        }
        for name in ["y", "weights", "inverse", "permutation", "d_o"] {
            let mut missing = good.clone();
            missing.take(name);
            let found = backward.check_inputs(&missing);
            assert!(matches!(found, Err(SpecError::Missing { operand, .. }) if operand == name));
        }
    }

    #[test]
    fn what_a_kernel_rejected_is_an_error() {
        let op = MoeCombine { report: true, ..MoeCombine::new(2, 2, 3, 5) };
        let made = |count, first| Tensors::new().with("rejected", Tensor::u32([2], [count, first]).unwrap());
        assert_eq!(op.check_outputs(&made(0, NO_ROW)), Ok(()));
        let found = op.check_outputs(&made(1, 2));
        assert!(matches!(found, Err(SpecError::BadIndex { operand: "inverse", first: 2, count: 1, .. })));
    }
}
