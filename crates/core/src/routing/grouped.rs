//! Products by expert: rows that lie expert by expert, each expert's with its own weight.

use serde::{Deserialize, Serialize};

use super::{GroupedGemmWeights, MAX_EXPERTS};
use crate::gemm::MAX_SIZE;
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Each row times the weight of the expert that it belongs to.
///
/// ```text
/// y[r] = x[r] · w[e] (+ bias[e])     for the rows r of expert e, offsets[e] ≤ r < offsets[e + 1]
/// y[r] = 0                           for rows of no expert, before offsets[0] or from offsets[E] on
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x` | `[rows, k]` | `dtype` |
/// | `w` | `[experts, k, n]`; `[experts, n, k]` if `transpose_w`, as the weight of a linear layer is | `dtype` |
/// | `offsets` | `[experts + 1]`, not descending, at most `rows` | u32 |
/// | `bias` | `[experts, n]`, if `bias` | f32 |
/// | → `y` | `[rows, n]` | `dtype` |
///
/// The rows and `offsets` are those of a routing plan; `rows` is the most that there may be, and nothing is read back. Sums are formed in f32.
/// A value that is not finite does what IEEE 754 says, in its own row only (in `w` or `bias`: in the rows of its expert). The rows of no expert
/// are not looked at.
///
/// `offsets` that a device made are not checked: there each counts as the largest so far, and none beyond `rows`, so that every row has at most one
/// expert and nothing is addressed out of range.
///
/// The gradient of `x` is the same op ([`GroupedGemm::gradient_x`]), those of `w` and `bias` are [`GroupedGemmWeights`]
/// ([`GroupedGemm::gradient_w`]).
///
/// # Errors
/// [`SpecError::Dim`] for a size outside its range, [`SpecError::Option`] for a `dtype` of integers, [`SpecError::Value`] for `offsets` given by the
/// host that descend or go beyond `rows`.
///
/// Sources: Gale et al., *MegaBlocks: Efficient Sparse Training with Mixture-of-Experts* (MLSys 2023, arXiv 2211.15841); Shazeer et al.,
/// *Outrageously Large Neural Networks* (arXiv 1701.06538).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupedGemm {
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// Rows of all experts, with those of none; 0 is legal.
    pub rows: usize,
    /// Columns of `y`, at least 1.
    pub n: usize,
    /// Columns of `x`, the terms of a sum, at least 1.
    pub k: usize,
    /// Whether `w` is stored as `[experts, n, k]`.
    #[serde(default)]
    pub transpose_w: bool,
    /// Whether there is an input `bias [experts, n]`.
    #[serde(default)]
    pub bias: bool,
    /// Storage type of `x`, `w` and `y`.
    #[serde(default)]
    pub dtype: Dtype,
}

/// Inputs of [`GroupedGemm`].
#[derive(Debug, Clone, Default)]
pub struct GroupedGemmInputs {
    /// `[rows, k]`.
    pub x: Tensor,
    /// `[experts, k, n]`, or `[experts, n, k]`.
    pub w: Tensor,
    /// `[experts + 1]`, u32.
    pub offsets: Tensor,
    /// `[experts, n]`, f32.
    pub bias: Option<Tensor>,
}

impl From<GroupedGemmInputs> for Tensors {
    fn from(i: GroupedGemmInputs) -> Self {
        Self::new().with("x", i.x).with("w", i.w).with("offsets", i.offsets).with_some("bias", i.bias)
    }
}

/// Outputs of [`GroupedGemm`].
#[derive(Debug, Clone)]
pub struct GroupedGemmOutputs {
    /// `[rows, n]`.
    pub y: Tensor,
}

impl From<Tensors> for GroupedGemmOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { y: t.take("y").unwrap_or_default() }
    }
}

impl GroupedGemm {
    /// `y [rows, n] = x [rows, k] · w [experts, k, n]` in f32.
    ///
    /// ```
    /// use gatefold_core::{GroupedGemm, Op};
    ///
    /// let spec = GroupedGemm { transpose_w: true, ..GroupedGemm::new(8, 100, 3, 4) };
    /// assert_eq!(spec.operands()[1].dims, [8, 3, 4]);
    /// assert_eq!(spec.gradient_x(), GroupedGemm::new(8, 100, 4, 3));
    /// ```
    pub fn new(experts: usize, rows: usize, n: usize, k: usize) -> Self {
        Self { experts, rows, n, k, transpose_w: false, bias: false, dtype: Dtype::F32 }
    }

    /// How `w` is stored: experts, rows, columns.
    pub fn w_dims(&self) -> [usize; 3] {
        if self.transpose_w { [self.experts, self.n, self.k] } else { [self.experts, self.k, self.n] }
    }

    /// The gradient of `x`: this op with `d_y` as its `x` and the same `w`, read the other way; its `y` is `d_x`.
    #[must_use]
    pub fn gradient_x(&self) -> Self {
        Self { n: self.k, k: self.n, transpose_w: !self.transpose_w, bias: false, ..self.clone() }
    }

    /// The gradients of `w` and, if there is one, of `bias`.
    pub fn gradient_w(&self) -> GroupedGemmWeights {
        let &Self { experts, rows, n, k, transpose_w, bias, dtype } = self;
        GroupedGemmWeights { experts, rows, n, k, transpose_w, bias, dtype }
    }
}

/// Checks what both ops by expert have.
pub(super) fn check_sizes(
    experts: usize,
    sizes: [(&'static str, usize, usize); 3],
    dtype: Dtype,
) -> Result<(), SpecError> {
    let all = std::iter::once(("experts", experts, 1, MAX_EXPERTS));
    for (dim, given, least, most) in all.chain(sizes.map(|(dim, given, least)| (dim, given, least, MAX_SIZE))) {
        if given < least || given > most {
            return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
        }
    }
    check_float(dtype)
}

/// Checks that `offsets` do not descend and stay within `rows`.
pub(super) fn check_offsets(inputs: &Tensors, rows: usize) -> Result<(), SpecError> {
    let offsets = inputs.get("offsets").and_then(Tensor::as_u32).unwrap_or_default();
    let mut former = 0;
    for (index, &given) in offsets.iter().enumerate() {
        if given < former || given as usize > rows {
            let (operand, expected) = ("offsets".into(), format!("{former} to {rows}"));
            return Err(SpecError::Value { operand, index, expected, given: given.to_string() });
        }
        former = given;
    }
    Ok(())
}

impl Op for GroupedGemm {
    const NAME: &'static str = "grouped_gemm";
    type Inputs = GroupedGemmInputs;
    type Outputs = GroupedGemmOutputs;

    fn operands(&self) -> Vec<Operand> {
        let mut all = vec![
            Operand::input("x", [self.rows, self.k], self.dtype),
            Operand::input("w", self.w_dims(), self.dtype),
            Operand::input("offsets", [self.experts + 1], Dtype::U32),
        ];
        all.extend(self.bias.then(|| Operand::input("bias", [self.experts, self.n], Dtype::F32)));
        all.push(Operand::output("y", [self.rows, self.n], self.dtype));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        check_sizes(self.experts, [("rows", self.rows, 0), ("n", self.n, 1), ("k", self.k, 1)], self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 2·rows·n·k, as if every row had an expert.
    fn cost(&self) -> Cost {
        let flops = 2.0 * self.rows as f64 * self.n as f64 * self.k as f64;
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let (layout, bias) = (if self.transpose_w { "nt" } else { "nn" }, if self.bias { ".bias" } else { "" });
        format!("{layout}{bias}.{}", self.dtype)
    }

    fn size_label(&self) -> String {
        let Self { experts, rows, n, k, .. } = self;
        format!("E{experts} R{rows} N{n} K{k}")
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
        let spec = GroupedGemm { bias: true, dtype: Dtype::F16, ..GroupedGemm::new(3, 10, 5, 7) };
        let dims: Vec<_> = spec.operands().into_iter().map(|o| o.dims).collect();
        assert_eq!(dims, [vec![10, 7], vec![3, 7, 5], vec![4], vec![3, 5], vec![10, 5]]);
        assert_eq!((spec.label(), spec.size_label()), ("nn.bias.f16".into(), "E3 R10 N5 K7".into()));
        assert_eq!(spec.cost().flops, 700.0);
        assert_eq!(spec.gradient_x().operands()[1].dims, spec.operands()[1].dims);
        assert_eq!(spec.gradient_w().operands()[3].dims, spec.operands()[1].dims);
    }

    #[test]
    fn a_spec_is_read_from_json() {
        let spec: GroupedGemm = serde_json::from_str(r#"{"experts": 2, "rows": 9, "n": 3, "k": 4}"#).unwrap();
        assert_eq!(spec, GroupedGemm::new(2, 9, 3, 4));
        let text = serde_json::to_string(&spec.gradient_w()).unwrap();
        assert_eq!(serde_json::from_str::<GroupedGemmWeights>(&text).unwrap(), spec.gradient_w());
        assert!(serde_json::from_str::<GroupedGemm>(r#"{"experts": 2, "rows": 9, "n": 3, "k": 4, "m": 1}"#).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let base = GroupedGemm::new(2, 9, 3, 4);
        let refused = |spec: &GroupedGemm| spec.validate().unwrap_err().to_string();
        for (bad, name) in [
            (GroupedGemm { experts: 0, ..base.clone() }, "experts:"),
            (GroupedGemm { experts: MAX_EXPERTS + 1, ..base.clone() }, "experts:"),
            (GroupedGemm { rows: MAX_SIZE + 1, ..base.clone() }, "rows:"),
            (GroupedGemm { n: 0, ..base.clone() }, "n:"),
            (GroupedGemm { k: 0, ..base.clone() }, "k:"),
            (GroupedGemm { dtype: Dtype::U32, ..base.clone() }, "dtype:"),
            (GroupedGemm { rows: 1 << 17, n: 1 << 17, ..base.clone() }, "y:"),
        ] {
            assert!(refused(&bad).starts_with(name), "{name}");
            assert!(bad.gradient_w().validate().is_err(), "{name}");
        }
        assert!(GroupedGemm { rows: 0, ..base }.validate().is_ok());
    }

    fn inputs(offsets: &[u32]) -> Tensors {
        let numbers = |dims: &[usize]| Tensor::f32(dims, vec![0.0; dims.iter().product()]).unwrap();
        let offsets = Tensor::u32([offsets.len()], offsets.to_vec()).unwrap();
        GroupedGemmInputs { x: numbers(&[9, 4]), w: numbers(&[2, 4, 3]), offsets, bias: None }.into()
    }

    #[test]
    fn offsets_are_looked_at() {
        let base = GroupedGemm::new(2, 9, 3, 4);
        let found = |offsets: &[u32]| base.check_inputs(&inputs(offsets)).map_err(|e| e.to_string());
        for good in [[0, 0, 0], [0, 5, 9], [3, 3, 7], [9, 9, 9]] {
            assert_eq!(found(&good), Ok(()));
        }
        for (bad, at) in [([0, 5, 4], "offsets[2]: expected 5 to 9"), ([0, 10, 10], "offsets[1]: expected 0 to 9")] {
            assert!(found(&bad).unwrap_err().starts_with(at), "{at}");
        }
        assert!(found(&[0, 9]).unwrap_err().starts_with("offsets: expected shape [3]"));
        let without = |name: &str| {
            let mut given = inputs(&[0, 5, 9]);
            given.take(name);
            base.check_inputs(&given).unwrap_err().to_string()
        };
        for name in ["x", "w", "offsets"] {
            assert!(without(name).starts_with(name), "{name}");
        }
        let given = inputs(&[0, 5, 9]).with("bias", Tensor::f32([2, 3], vec![0.0; 6]).unwrap());
        assert!(base.check_inputs(&given).unwrap_err().to_string().starts_with("bias: given"));
    }
}
