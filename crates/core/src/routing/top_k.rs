//! The largest elements of rows.

use serde::{Deserialize, Serialize};

use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Longest row of a top-k.
pub const MAX_TOP_K_COLS: usize = 1 << 24;

/// The `k` largest, or smallest, elements of every row, and where they stand; as ONNX's `TopK` with `sorted = 1` along the last axis, and ggml's `top_k`.
///
/// ```text
/// i_1, …, i_k   the columns of a row, by x descending (ascending if not largest), equal ones by column
/// values[r, j] = x[r, i_j],   indices[r, j] = i_j
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x` | `[rows, cols]` | `dtype` |
/// | → `values` | `[rows, k]` | `dtype` |
/// | → `indices` | `[rows, k]` | u32 |
///
/// NaN ranks last either way; `−0` equals `+0`. Values are moved as bits. Any `k` up to `cols` will do: short rows are sorted in workgroup memory, of long
/// ones the k-th largest is found first, by a radix select. There is no gradient op: that of `values` is put back by `indices`, and `indices` have none.
///
/// # Errors
/// [`SpecError::Dim`] for `cols` (1 to 2²⁴) and `k` (1 to `cols`), [`SpecError::Option`] for a `dtype` that is no float.
///
/// Source: ONNX operators, `TopK` (opset 11 and later); Alabi et al., *Fast k-selection algorithms for graphics processing units* (2012).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    /// Rows; 0 is legal.
    pub rows: usize,
    /// Columns, 1 to 2²⁴.
    pub cols: usize,
    /// Elements to take of a row, 1 to `cols`.
    pub k: usize,
    /// Whether the largest are taken, in descending order; else the smallest, in ascending order.
    pub largest: bool,
    /// Storage type of `x` and `values`.
    #[serde(default)]
    pub dtype: Dtype,
}

impl TopK {
    /// The `k` largest elements of rows in f32.
    pub fn new(rows: usize, cols: usize, k: usize) -> Self {
        Self { rows, cols, k, largest: true, dtype: Dtype::F32 }
    }
}

/// Inputs of [`TopK`].
#[derive(Debug, Clone, Default)]
pub struct TopKInputs {
    /// `[rows, cols]`.
    pub x: Tensor,
}

impl From<TopKInputs> for Tensors {
    fn from(i: TopKInputs) -> Self {
        Self::new().with("x", i.x)
    }
}

/// Outputs of [`TopK`].
#[derive(Debug, Clone)]
pub struct TopKOutputs {
    /// `[rows, k]`.
    pub values: Tensor,
    /// `[rows, k]`, u32.
    pub indices: Tensor,
}

impl From<Tensors> for TopKOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { values: t.take("values").unwrap_or_default(), indices: t.take("indices").unwrap_or_default() }
    }
}

impl Op for TopK {
    const NAME: &'static str = "top_k";
    type Inputs = TopKInputs;
    type Outputs = TopKOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { rows, cols, k, dtype, .. } = self;
        vec![
            Operand::input("x", [rows, cols], dtype),
            Operand::output("values", [rows, k], dtype),
            Operand::output("indices", [rows, k], Dtype::U32),
        ]
    }

    fn validate(&self) -> Result<(), SpecError> {
        for (dim, given, most) in [("cols", self.cols, MAX_TOP_K_COLS), ("k", self.k, self.cols)] {
            if given == 0 || given > most {
                return Err(SpecError::Dim { dim, expected: format!("1 to {most}"), given });
            }
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: a comparison per element, by which the field counts selections.
    fn cost(&self) -> Cost {
        Cost { flops: self.rows as f64 * self.cols as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("{}.{}", if self.largest { "largest" } else { "smallest" }, self.dtype)
    }

    fn size_label(&self) -> String {
        format!("R{} C{} K{}", self.rows, self.cols, self.k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let named = |op: TopK, name: &str| {
            let wrong = op.validate().unwrap_err().to_string();
            assert!(wrong.starts_with(name), "{wrong}");
        };
        named(TopK::new(3, 0, 1), "cols: expected 1 to");
        named(TopK::new(3, MAX_TOP_K_COLS + 1, 1), "cols: expected 1 to");
        named(TopK::new(3, 5, 0), "k: expected 1 to 5");
        named(TopK::new(3, 5, 6), "k: expected 1 to 5");
        named(TopK { dtype: Dtype::U32, ..TopK::new(3, 5, 2) }, "dtype: expected f32 or f16");
        named(TopK::new(1 << 20, 1 << 20, 2), "x: expected at most");
        let x = Tensor::f32([3, 4], vec![0.0; 12]).unwrap();
        let wrong = TopK::new(3, 5, 2).check_inputs(&Tensors::new().with("x", x)).unwrap_err();
        assert!(matches!(wrong, SpecError::Shape { operand, .. } if operand == "x"));
        assert!(TopK::new(0, 5, 2).validate().is_ok());
    }
}
