//! What stands between the two products of an expert.

use serde::{Deserialize, Serialize};

use super::dispatch::{MAX_HIDDEN, MAX_ROWS};
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Largest `limit` of a clamped activation.
const MAX_LIMIT: f32 = 1e15;
/// `alpha` of a clamped activation: least and largest.
const ALPHA: (f32, f32) = (1e-3, 1e3);

/// The function between an expert's products. A gated one takes two numbers, gate `g` and up `u`, to one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpertFunction {
    /// `g·σ(g)·u` (Shazeer, *GLU Variants Improve Transformer*, arXiv 2002.05202): Mixtral, DeepSeek, Qwen.
    #[default]
    SwiGlu,
    /// `gelu(g)·u`, gelu as in [`ExpertFunction::Gelu`].
    GeGlu,
    /// `ĝ·σ(alpha·ĝ)·(û + 1)`, `ĝ = min(g, limit)`, `û` the nearest to `u` in `[−limit, limit]`: gpt-oss. Gradients pass a clamp of `x` where
    /// `x` is in `(low, high]`.
    ClampedSwiGlu {
        /// Where gate and up are cut off; above 0.
        limit: f32,
        /// Factor of the sigmoid's argument, 0.001 to 1000.
        alpha: f32,
    },
    /// `½x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`, the tanh form (Hendrycks & Gimpel, arXiv 1606.08415, equation 4).
    Gelu,
    /// `max(x, 0)`; its slope at 0 is 0.
    Relu,
    /// `x·σ(x)`.
    Silu,
}

impl ExpertFunction {
    /// What gpt-oss clamps by.
    pub const GPT_OSS: Self = Self::ClampedSwiGlu { limit: 7.0, alpha: 1.702 };

    /// One of each kind.
    pub const ALL: [Self; 6] = [Self::SwiGlu, Self::GeGlu, Self::GPT_OSS, Self::Gelu, Self::Relu, Self::Silu];

    /// Whether it takes a gate and an up.
    pub fn is_gated(self) -> bool {
        matches!(self, Self::SwiGlu | Self::GeGlu | Self::ClampedSwiGlu { .. })
    }

    /// The name used in labels and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::SwiGlu => "swi_glu",
            Self::GeGlu => "ge_glu",
            Self::ClampedSwiGlu { .. } => "clamped_swi_glu",
            Self::Gelu => "gelu",
            Self::Relu => "relu",
            Self::Silu => "silu",
        }
    }
}

/// The activation between an expert's two products, element by element.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `h` | `[rows, 2·width]` if gated, gate first, then up; else `[rows, width]` | `dtype` |
/// | → `y` | `[rows, width]` | `dtype` |
///
/// What is not finite in `h` makes its element NaN. Rows that pad blocks, which are 0, stay 0 but for their cost: every function takes 0 to 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertActivation {
    /// Rows of the plan; 0 is legal.
    pub rows: usize,
    /// Width of the experts, 1 to 65,536.
    pub width: usize,
    /// The function.
    #[serde(default)]
    pub function: ExpertFunction,
    /// Storage type of `h` and `y`.
    #[serde(default)]
    pub dtype: Dtype,
}

impl ExpertActivation {
    /// An activation in f32.
    pub fn new(function: ExpertFunction, rows: usize, width: usize) -> Self {
        Self { rows, width, function, dtype: Dtype::F32 }
    }

    /// The shape of `h`.
    fn inner(&self) -> [usize; 2] {
        [self.rows, if self.function.is_gated() { 2 } else { 1 } * self.width]
    }
}

/// Inputs of [`ExpertActivation`].
#[derive(Debug, Clone, Default)]
pub struct ExpertActivationInputs {
    /// `[rows, 2·width]` or `[rows, width]`.
    pub h: Tensor,
}

impl From<ExpertActivationInputs> for Tensors {
    fn from(i: ExpertActivationInputs) -> Self {
        Self::new().with("h", i.h)
    }
}

/// Outputs of [`ExpertActivation`].
#[derive(Debug, Clone)]
pub struct ExpertActivationOutputs {
    /// `[rows, width]`.
    pub y: Tensor,
}

impl From<Tensors> for ExpertActivationOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { y: t.take("y").unwrap_or_default() }
    }
}

impl Op for ExpertActivation {
    const NAME: &'static str = "expert_activation";
    type Inputs = ExpertActivationInputs;
    type Outputs = ExpertActivationOutputs;

    fn operands(&self) -> Vec<Operand> {
        let y = Operand::output("y", [self.rows, self.width], self.dtype);
        vec![Operand::input("h", self.inner(), self.dtype), y]
    }

    fn validate(&self) -> Result<(), SpecError> {
        for (dim, given, least, most) in [("rows", self.rows, 0, MAX_ROWS), ("width", self.width, 1, MAX_HIDDEN)] {
            if given < least || given > most {
                return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
            }
        }
        check_float(self.dtype)?;
        if let ExpertFunction::ClampedSwiGlu { limit, alpha } = self.function {
            let is_legal = [
                ("limit", limit, limit > 0.0 && limit <= MAX_LIMIT, format!("above 0, at most {MAX_LIMIT:e}")),
                ("alpha", alpha, (ALPHA.0..=ALPHA.1).contains(&alpha), format!("{} to {}", ALPHA.0, ALPHA.1)),
            ];
            if let Some((option, given, _, expected)) = is_legal.into_iter().find(|(_, _, fine, _)| !fine) {
                return Err(SpecError::Option { option, expected, given: given.to_string() });
            }
        }
        check_addressable(&self.operands())
    }

    /// FLOPs: 10 per element of `y`, as activations are counted.
    fn cost(&self) -> Cost {
        Cost { flops: 10.0 * self.rows as f64 * self.width as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("{}.{}", self.function.name(), self.dtype)
    }

    fn size_label(&self) -> String {
        format!("S{} F{}", self.rows, self.width)
    }
}

/// The gradient of [`ExpertActivation`].
///
/// | operand | shape | type |
/// |---|---|---|
/// | `h` | as in the forward op | `dtype` |
/// | `d_y` | `[rows, width]` | `dtype` |
/// | → `d_h` | as `h` | `dtype` |
///
/// What is not finite in `h` or `d_y` makes the elements of `d_h` that it belongs to NaN: gate and up both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertActivationBackward {
    /// The forward op.
    pub forward: ExpertActivation,
}

/// Inputs of [`ExpertActivationBackward`].
#[derive(Debug, Clone, Default)]
pub struct ExpertActivationBackwardInputs {
    /// `[rows, 2·width]` or `[rows, width]`.
    pub h: Tensor,
    /// `[rows, width]`.
    pub d_y: Tensor,
}

impl From<ExpertActivationBackwardInputs> for Tensors {
    fn from(i: ExpertActivationBackwardInputs) -> Self {
        Self::new().with("h", i.h).with("d_y", i.d_y)
    }
}

/// Outputs of [`ExpertActivationBackward`].
#[derive(Debug, Clone)]
pub struct ExpertActivationBackwardOutputs {
    /// As `h`.
    pub d_h: Tensor,
}

impl From<Tensors> for ExpertActivationBackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { d_h: t.take("d_h").unwrap_or_default() }
    }
}

impl Op for ExpertActivationBackward {
    const NAME: &'static str = "expert_activation_backward";
    type Inputs = ExpertActivationBackwardInputs;
    type Outputs = ExpertActivationBackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let f = &self.forward;
        vec![
            Operand::input("h", f.inner(), f.dtype),
            Operand::input("d_y", [f.rows, f.width], f.dtype),
            Operand::output("d_h", f.inner(), f.dtype),
        ]
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.forward.validate()
    }

    /// FLOPs: 20 per element of `d_y`.
    fn cost(&self) -> Cost {
        let f = &self.forward;
        Cost { flops: 20.0 * f.rows as f64 * f.width as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        self.forward.label()
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_options_out_of_range_are_named() {
        let op = ExpertActivation::new(ExpertFunction::GPT_OSS, 3, 5);
        for (name, bad) in [
            ("width", ExpertActivation { width: 0, ..op.clone() }),
            ("width", ExpertActivation { width: MAX_HIDDEN + 1, ..op.clone() }),
            ("rows", ExpertActivation { rows: MAX_ROWS + 1, ..op.clone() }),
        ] {
            assert!(matches!(bad.validate(), Err(SpecError::Dim { dim, .. }) if dim == name), "{bad:?}");
        }
        let clamped = |limit, alpha| ExpertFunction::ClampedSwiGlu { limit, alpha };
        for (name, function) in [
            ("limit", clamped(0.0, 1.0)),
            ("limit", clamped(f32::NAN, 1.0)),
            ("limit", clamped(f32::INFINITY, 1.0)),
            ("alpha", clamped(1.0, 0.0)),
            ("alpha", clamped(1.0, 2e3)),
            ("alpha", clamped(1.0, f32::NAN)),
        ] {
            let bad = ExpertActivationBackward { forward: ExpertActivation { function, ..op.clone() } };
            assert!(matches!(bad.validate(), Err(SpecError::Option { option, .. }) if option == name), "{bad:?}");
        }
        let words = ExpertActivation { dtype: Dtype::U32, ..op };
        assert!(matches!(words.validate(), Err(SpecError::Option { option: "dtype", .. })));
    }

    #[test]
    fn gated_functions_read_twice_the_width() {
        for function in ExpertFunction::ALL {
            let op = ExpertActivation::new(function, 3, 5);
            let width = if function.is_gated() { 10 } else { 5 };
            let h = Tensor::f32([3, width], vec![0.0; 3 * width]).unwrap();
            assert_eq!(op.check_inputs(&Tensors::new().with("h", h.clone())), Ok(()));
            let backward = ExpertActivationBackward { forward: op.clone() };
            let without = backward.check_inputs(&Tensors::new().with("h", h));
            assert!(matches!(without, Err(SpecError::Missing { operand, .. }) if operand == "d_y"));
            let wrong = Tensors::new().with("h", Tensor::f32([3, 7], vec![0.0; 21]).unwrap());
            assert!(matches!(op.check_inputs(&wrong), Err(SpecError::Shape { operand, .. }) if operand == "h"));
        }
    }
}
