//! Softmax, log-softmax and log-sum-exp over the last axis, and their gradients.
//!
//! Sources: Milakov & Gimelshein, *Online normalizer calculation for softmax* (arXiv 1805.02867); Dukhan & Ablavatski,
//! *The Two-Pass Softmax Algorithm* (arXiv 2001.04438).

use serde::{Deserialize, Serialize};

use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Longest row.
pub const MAX_COLS: usize = 1 << 20;

/// What is computed from each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowFunction {
    /// `y = exp(s − m) / Σ exp(s − m)`, `s = scale·x`, `m = max s`.
    #[default]
    Softmax,
    /// `y = s − lse`.
    LogSoftmax,
    /// `y = lse = m + ln Σ exp(s − m)`, one number a row, f32.
    LogSumExp,
}

impl RowFunction {
    /// Name as in variant names: `softmax`, `log_softmax`, `log_sum_exp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
            Self::LogSumExp => "log_sum_exp",
        }
    }
}

/// Softmax, log-softmax or log-sum-exp of each row of `x [rows, cols]`.
///
/// Inputs `x [rows, cols]` and, with `lens`, `lens [rows]` (u32): entries from `lens` on are excluded and give 0.
/// Output `y [rows, cols]`, or `y [rows]` in f32 for log-sum-exp.
///
/// A `−∞` entry has weight 0. A row without a finite entry (or of length 0) gives softmax 0 and log-sum-exp `−∞`.
/// A row with a NaN or a `+∞` gives NaN in the whole row. `scale·x`, and a log-softmax, of more than 3.0e38 count as 3.0e38, of either sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rowwise {
    /// What is computed.
    #[serde(default)]
    pub function: RowFunction,
    /// Count of rows; 0 is legal.
    pub rows: usize,
    /// Length of a row, 1 to 2²⁰.
    pub cols: usize,
    /// Factor on `x` before anything else.
    #[serde(default = "one")]
    pub scale: f32,
    /// Whether every row has its own length, input `lens`.
    #[serde(default)]
    pub lens: bool,
    /// Storage type of `x` and `y`.
    #[serde(default)]
    pub dtype: Dtype,
}

fn one() -> f32 {
    1.0
}

/// Inputs of [`Rowwise`].
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `[rows, cols]`.
    pub x: Tensor,
    /// `[rows]`, u32.
    pub lens: Option<Tensor>,
}

impl From<Inputs> for Tensors {
    fn from(i: Inputs) -> Self {
        Self::new().with("x", i.x).with_some("lens", i.lens)
    }
}

/// Outputs of [`Rowwise`].
#[derive(Debug, Clone)]
pub struct Outputs {
    /// `[rows, cols]`, or `[rows]` for log-sum-exp.
    pub y: Tensor,
}

impl From<Tensors> for Outputs {
    fn from(mut t: Tensors) -> Self {
        Self { y: t.take("y").unwrap_or_default() }
    }
}

impl Rowwise {
    /// `function` over the last axis of an f32 `x [rows, cols]`, scale 1.
    pub fn new(function: RowFunction, rows: usize, cols: usize) -> Self {
        Self { function, rows, cols, scale: 1.0, lens: false, dtype: Dtype::F32 }
    }

    fn output_dims(&self) -> (Vec<usize>, Dtype) {
        match self.function {
            RowFunction::LogSumExp => (vec![self.rows], Dtype::F32),
            RowFunction::Softmax | RowFunction::LogSoftmax => (vec![self.rows, self.cols], self.dtype),
        }
    }

    fn lens_operand(&self) -> Option<Operand> {
        self.lens.then(|| Operand::input("lens", [self.rows], Dtype::U32))
    }
}

impl Op for Rowwise {
    const NAME: &'static str = "rowwise";
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn operands(&self) -> Vec<Operand> {
        let (y_dims, y_dtype) = self.output_dims();
        let mut all = vec![Operand::input("x", [self.rows, self.cols], self.dtype)];
        all.extend(self.lens_operand());
        all.push(Operand::output("y", y_dims, y_dtype));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        if self.cols == 0 || self.cols > MAX_COLS {
            return Err(SpecError::Dim { dim: "cols", expected: format!("1 to {MAX_COLS}"), given: self.cols });
        }
        if !self.scale.is_finite() {
            let (expected, given) = ("a finite number".into(), self.scale.to_string());
            return Err(SpecError::Option { option: "scale", expected, given });
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 4 per element (scale, subtract, exponential, add or divide).
    fn cost(&self) -> Cost {
        Cost { flops: 4.0 * self.rows as f64 * self.cols as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let lens = if self.lens { ".lens" } else { "" };
        format!("{}{lens}.{}", self.function.name(), self.dtype)
    }

    fn size_label(&self) -> String {
        format!("R{} N{}", self.rows, self.cols)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        let Some(lens) = inputs.get("lens").and_then(Tensor::as_u32) else {
            return Ok(());
        };
        match lens.iter().position(|&n| n as usize > self.cols) {
            None => Ok(()),
            Some(index) => Err(SpecError::Value {
                operand: "lens".into(),
                index,
                expected: format!("at most cols = {}", self.cols),
                given: lens[index].to_string(),
            }),
        }
    }
}

/// Gradient of [`Rowwise`] with respect to `x`.
///
/// Inputs: `y` as the forward pass left it (for log-sum-exp `x` instead) and `d_y`; output `d_x [rows, cols]`.
///
/// - softmax: `d_x = scale·y·(d_y − Σ y·d_y)`
/// - log-softmax: `d_x = scale·(d_y − exp(y)·Σ d_y)`
/// - log-sum-exp: `d_x = scale·softmax(scale·x)·d_y`, from `x` alone: `exp(scale·x − y)` would be off by the rounding of `y` to f32, a
///   relative error of 5·10⁻⁴ at logits of 10⁴
///
/// Entries that `lens` excludes get 0, and so do all entries of a row without a finite entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowwiseBackward {
    /// The forward op.
    pub forward: Rowwise,
}

/// Inputs of [`RowwiseBackward`].
#[derive(Debug, Clone, Default)]
pub struct BackwardInputs {
    /// `[rows, cols]`; log-sum-exp only.
    pub x: Option<Tensor>,
    /// The forward output, `[rows, cols]`; softmax and log-softmax only.
    pub y: Option<Tensor>,
    /// Gradient of the forward output, of the same shape and type.
    pub d_y: Tensor,
    /// `[rows]`, u32.
    pub lens: Option<Tensor>,
}

impl From<BackwardInputs> for Tensors {
    fn from(i: BackwardInputs) -> Self {
        Self::new().with("d_y", i.d_y).with_some("x", i.x).with_some("y", i.y).with_some("lens", i.lens)
    }
}

/// Outputs of [`RowwiseBackward`].
#[derive(Debug, Clone)]
pub struct BackwardOutputs {
    /// `[rows, cols]`.
    pub d_x: Tensor,
}

impl From<Tensors> for BackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { d_x: t.take("d_x").unwrap_or_default() }
    }
}

impl Op for RowwiseBackward {
    const NAME: &'static str = "rowwise_backward";
    type Inputs = BackwardInputs;
    type Outputs = BackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let f = &self.forward;
        let (y_dims, y_dtype) = f.output_dims();
        let from_forward = if f.function == RowFunction::LogSumExp { "x" } else { "y" };
        let mut all =
            vec![Operand::input(from_forward, [f.rows, f.cols], f.dtype), Operand::input("d_y", y_dims, y_dtype)];
        all.extend(f.lens_operand());
        all.push(Operand::output("d_x", [f.rows, f.cols], f.dtype));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.forward.validate()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 4 per element.
    fn cost(&self) -> Cost {
        Cost { flops: self.forward.cost().flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        self.forward.label()
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.forward.check_values(inputs)
    }
}
