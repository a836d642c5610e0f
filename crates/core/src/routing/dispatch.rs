//! Tokens' rows in the order of a plan.

use serde::{Deserialize, Serialize};

use super::combine::MoeCombine;
use super::{MAX_ASSIGNMENTS, MAX_TOP_K, NO_ROW};
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Widest row of a token or of an expert.
pub const MAX_HIDDEN: usize = 1 << 16;
/// Most rows of a plan.
pub const MAX_ROWS: usize = 1 << 25;

/// Copies each token's row to the rows of the experts that it is given to, in the order of a plan.
///
/// ```text
/// y[row] = x[permutation[row] / k],   0 where permutation[row] = NO_ROW
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x` | `[tokens, hidden]` | `dtype` |
/// | `permutation` | `[rows]` | u32: an assignment `t·k + j` or [`NO_ROW`] |
/// | → `y` | `[rows, hidden]` | `dtype` |
/// | → `rejected` | `[2]` | u32: how many entries of `permutation` are neither, and the first of them or `NO_ROW`; if `report` |
///
/// Elements are copied bit by bit, whatever they are. A row whose entry is not legal, which a buffer made on the device may hold, is 0; with
/// `report` it is an error as well ([`SpecError::BadIndex`]). The gradient with respect to `x` is [`MoeDispatch::gradient`].
///
/// Source: Shazeer et al., *Outrageously Large Neural Networks* (arXiv 1701.06538); rows sorted by expert as in Gale et al., *MegaBlocks*
/// (arXiv 2211.15841).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoeDispatch {
    /// Tokens; 0 is legal.
    pub tokens: usize,
    /// Experts of a token, k: 1 to 64.
    pub top_k: usize,
    /// Width of a row, 1 to 65,536.
    pub hidden: usize,
    /// Rows of the plan, those that pad blocks included; 0 is legal.
    pub rows: usize,
    /// Storage type of `x` and `y`.
    #[serde(default)]
    pub dtype: Dtype,
    /// Whether entries that are not legal are counted.
    #[serde(default)]
    pub report: bool,
}

impl MoeDispatch {
    /// A dispatch in f32, without report.
    pub fn new(tokens: usize, top_k: usize, hidden: usize, rows: usize) -> Self {
        Self { tokens, top_k, hidden, rows, dtype: Dtype::F32, report: false }
    }

    /// The op that gives `d_x`: a plain sum over the rows of each token, its `y` being `d_y`, its `o` being `d_x`.
    pub fn gradient(&self) -> MoeCombine {
        let &Self { tokens, top_k, hidden, rows, dtype, report } = self;
        MoeCombine { tokens, top_k, hidden, rows, weighted: false, dtype, report }
    }
}

/// Inputs of [`MoeDispatch`].
#[derive(Debug, Clone, Default)]
pub struct DispatchInputs {
    /// `[tokens, hidden]`.
    pub x: Tensor,
    /// `[rows]`, u32.
    pub permutation: Tensor,
}

impl From<DispatchInputs> for Tensors {
    fn from(i: DispatchInputs) -> Self {
        Self::new().with("x", i.x).with("permutation", i.permutation)
    }
}

/// Outputs of [`MoeDispatch`].
#[derive(Debug, Clone)]
pub struct DispatchOutputs {
    /// `[rows, hidden]`.
    pub y: Tensor,
    /// `[2]`, u32.
    pub rejected: Option<Tensor>,
}

impl From<Tensors> for DispatchOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { y: t.take("y").unwrap_or_default(), rejected: t.take("rejected") }
    }
}

/// Checks the sizes that all ops on rows of a plan share, and their storage type.
pub(super) fn check_sizes(
    [tokens, top_k, hidden, rows]: [usize; 4],
    dtype: Dtype,
    operands: &[Operand],
) -> Result<(), SpecError> {
    for (dim, given, least, most) in [
        ("top_k", top_k, 1, MAX_TOP_K),
        ("tokens", tokens, 0, MAX_ASSIGNMENTS / top_k.clamp(1, MAX_TOP_K)),
        ("hidden", hidden, 1, MAX_HIDDEN),
        ("rows", rows, 0, MAX_ROWS),
    ] {
        if given < least || given > most {
            return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
        }
    }
    check_float(dtype)?;
    check_addressable(operands)
}

/// What an entry of `permutation` or `inverse` may be.
fn legal_entry(end: usize) -> String {
    if end == 0 { format!("NO_ROW ({NO_ROW})") } else { format!("0 to {} or NO_ROW ({NO_ROW})", end - 1) }
}

/// Checks a host's `permutation` or `inverse`: entries below `end`, or [`NO_ROW`].
pub(super) fn check_entries(inputs: &Tensors, operand: &'static str, end: usize) -> Result<(), SpecError> {
    let entries = inputs.get(operand).and_then(Tensor::as_u32).unwrap_or_default();
    match entries.iter().position(|&e| e != NO_ROW && e as usize >= end) {
        None => Ok(()),
        Some(index) => {
            let (expected, given) = (legal_entry(end), entries[index].to_string());
            Err(SpecError::Value { operand: operand.into(), index, expected, given })
        }
    }
}

/// What a kernel counted in `rejected`, as an error.
pub(super) fn check_rejected(outputs: &Tensors, operand: &'static str, end: usize) -> Result<(), SpecError> {
    match outputs.get("rejected").and_then(Tensor::as_u32) {
        Some(&[count, first]) if count > 0 => {
            let (count, first) = (count as usize, first as usize);
            Err(SpecError::BadIndex { operand, first, expected: legal_entry(end), count })
        }
        _ => Ok(()),
    }
}

impl Op for MoeDispatch {
    const NAME: &'static str = "moe_dispatch";
    type Inputs = DispatchInputs;
    type Outputs = DispatchOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { tokens, hidden, rows, dtype, report, .. } = self;
        let mut all = vec![
            Operand::input("x", [tokens, hidden], dtype),
            Operand::input("permutation", [rows], Dtype::U32),
            Operand::output("y", [rows, hidden], dtype),
        ];
        all.extend(report.then(|| Operand::output("rejected", [2], Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        check_sizes([self.tokens, self.top_k, self.hidden, self.rows], self.dtype, &self.operands())
    }

    /// No arithmetic: bytes only.
    fn cost(&self) -> Cost {
        Cost { flops: 0.0, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("rows{}.{}", if self.report { ".report" } else { "" }, self.dtype)
    }

    fn size_label(&self) -> String {
        format!("T{} k{} H{} S{}", self.tokens, self.top_k, self.hidden, self.rows)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        check_entries(inputs, "permutation", self.tokens * self.top_k)
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        check_rejected(outputs, "permutation", self.tokens * self.top_k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op() -> MoeDispatch {
        MoeDispatch::new(2, 2, 3, 5)
    }

    fn inputs(entries: [u32; 5]) -> Tensors {
        let x = Tensor::f32([2, 3], vec![0.5; 6]).unwrap();
        Tensors::new().with("x", x).with("permutation", Tensor::u32([5], entries).unwrap())
    }

    #[test]
    fn sizes_out_of_range_are_named() {
        for (name, bad) in [
            ("top_k", MoeDispatch { top_k: 0, ..op() }),
            ("top_k", MoeDispatch { top_k: 65, ..op() }),
            ("tokens", MoeDispatch { tokens: MAX_ASSIGNMENTS / 2 + 1, ..op() }),
            ("hidden", MoeDispatch { hidden: 0, ..op() }),
            ("hidden", MoeDispatch { hidden: MAX_HIDDEN + 1, ..op() }),
            ("rows", MoeDispatch { rows: MAX_ROWS + 1, ..op() }),
        ] {
            assert!(matches!(bad.validate(), Err(SpecError::Dim { dim, .. }) if dim == name), "{bad:?}");
        }
        let words = MoeDispatch { dtype: Dtype::U32, ..op() };
        assert!(matches!(words.validate(), Err(SpecError::Option { option: "dtype", .. })));
        let large = MoeDispatch { tokens: 100_000, hidden: MAX_HIDDEN, ..op() };
        assert!(matches!(large.validate(), Err(SpecError::TooManyElements { operand, .. }) if operand == "x"));
        assert_eq!(MoeDispatch::new(0, 1, 1, 0).validate(), Ok(()));
    }

    #[test]
    fn entries_out_of_range_are_named() {
        assert_eq!(op().check_inputs(&inputs([3, NO_ROW, 0, 1, 2])), Ok(()));
        for bad in [4, NO_ROW - 1, 1 << 31, u32::MAX] {
            let found = op().check_inputs(&inputs([3, NO_ROW, 0, bad, bad]));
            let is_named = |o: &str| o == "permutation";
            assert!(matches!(found, Err(SpecError::Value { operand, index: 3, .. }) if is_named(&operand)));
        }
        let mut missing = inputs([0; 5]);
        missing.take("permutation");
        assert!(
            matches!(op().check_inputs(&missing), Err(SpecError::Missing { operand, .. }) if operand == "permutation")
        );
        let floats = inputs([0; 5]).with("permutation", Tensor::f32([5], vec![0.0; 5]).unwrap());
        assert!(
            matches!(op().check_inputs(&floats), Err(SpecError::Dtype { operand, .. }) if operand == "permutation")
        );
    }

    #[test]
    fn what_a_kernel_rejected_is_an_error() {
        let made = |count, first| Tensors::new().with("rejected", Tensor::u32([2], [count, first]).unwrap());
        assert_eq!(op().check_outputs(&Tensors::new()), Ok(()));
        assert_eq!(op().check_outputs(&made(0, NO_ROW)), Ok(()));
        let found = op().check_outputs(&made(2, 3));
        assert!(matches!(found, Err(SpecError::BadIndex { operand: "permutation", first: 3, count: 2, .. })));
    }
}
