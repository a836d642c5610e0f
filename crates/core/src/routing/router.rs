//! The gate with its projection: from token rows to weights and indices, and back.

use serde::{Deserialize, Serialize};

use super::{GateBackwardInputs, GateBackwardOutputs, GateInputs, GateOutputs, MAX_HIDDEN, TopKGate, TopKGateBackward};
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, Role, SpecError, Tensor, Tensors};

/// Projects token rows to logits and applies a [`TopKGate`], in one command buffer. Logits are formed and kept in f32 whatever the rows are stored
/// in: rounded logits change which experts are chosen.
///
/// ```text
/// logits = x·w_gate,   weights, indices = gate(logits)
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x` | `[tokens, hidden]` | `dtype` |
/// | `w_gate` | `[hidden, experts]` | f32 |
/// | the gate's other inputs | as in [`TopKGate`] | |
/// | → `logits` | `[tokens, experts]` | f32 |
/// | → the gate's outputs | as in [`TopKGate`] | |
///
/// A NaN among the logits is found when they are there ([`NanLogits`](super::NanLogits)): the call gives
/// [`SpecError::NonFiniteRouting`] and no outputs.
///
/// Sources: Shazeer et al., *Outrageously Large Neural Networks* (arXiv 1701.06538); Fedus et al., *Switch Transformers* (arXiv 2101.03961).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// The gate; its logits are f32.
    pub gate: TopKGate,
    /// Width of a token's row, 1 to 65,536.
    pub hidden: usize,
    /// Storage type of `x`.
    #[serde(default)]
    pub dtype: Dtype,
}

impl Router {
    /// A gate with its projection, rows in f32.
    pub fn new(gate: TopKGate, hidden: usize) -> Self {
        Self { gate, hidden, dtype: Dtype::F32 }
    }

    fn x(&self) -> Operand {
        Operand::input("x", [self.gate.tokens, self.hidden], self.dtype)
    }

    fn w_gate(&self) -> Operand {
        Operand::input("w_gate", [self.hidden, self.gate.experts], Dtype::F32)
    }

    fn check(&self) -> Result<(), SpecError> {
        if self.hidden == 0 || self.hidden > MAX_HIDDEN {
            let expected = format!("1 to {MAX_HIDDEN}");
            return Err(SpecError::Dim { dim: "hidden", expected, given: self.hidden });
        }
        check_float(self.dtype)?;
        if self.gate.dtype != Dtype::F32 {
            let (expected, given) =
                ("f32: logits that are formed here are not rounded".into(), self.gate.dtype.to_string());
            return Err(SpecError::Option { option: "gate.dtype", expected, given });
        }
        Ok(())
    }
}

/// Inputs of [`Router`].
#[derive(Debug, Clone, Default)]
pub struct RouterInputs {
    /// `[tokens, hidden]`.
    pub x: Tensor,
    /// `[hidden, experts]`, f32.
    pub w_gate: Tensor,
    /// The gate's; `logits` are not looked at.
    pub gate: GateInputs,
}

impl From<RouterInputs> for Tensors {
    fn from(i: RouterInputs) -> Self {
        let mut all: Self = i.gate.into();
        all.take("logits");
        all.with("x", i.x).with("w_gate", i.w_gate)
    }
}

/// Outputs of [`Router`].
#[derive(Debug, Clone)]
pub struct RouterOutputs {
    /// `[tokens, experts]`, f32.
    pub logits: Tensor,
    /// The gate's.
    pub gate: GateOutputs,
}

impl From<Tensors> for RouterOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { logits: t.take("logits").unwrap_or_default(), gate: t.into() }
    }
}

/// Operands of a gate that are not the logits or their gradient.
fn others(operands: Vec<Operand>, role: Role) -> impl Iterator<Item = Operand> {
    operands.into_iter().filter(move |o| o.role == role && !["logits", "d_logits"].contains(&o.name))
}

impl Op for Router {
    const NAME: &'static str = "router";
    type Inputs = RouterInputs;
    type Outputs = RouterOutputs;

    fn operands(&self) -> Vec<Operand> {
        let mut all = vec![self.x(), self.w_gate()];
        all.extend(others(self.gate.operands(), Role::Input));
        all.push(Operand::output("logits", [self.gate.tokens, self.gate.experts], Dtype::F32));
        all.extend(others(self.gate.operands(), Role::Output));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.gate.validate()?;
        self.check()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: the projection's and the gate's.
    fn cost(&self) -> Cost {
        let projected = 2.0 * self.gate.tokens as f64 * self.gate.experts as f64 * self.hidden as f64;
        Cost { flops: projected + self.gate.cost().flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("{}.{}", self.gate.label(), self.dtype)
    }

    fn size_label(&self) -> String {
        format!("{} H{}", self.gate.size_label(), self.hidden)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.gate.check_values(inputs)
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        self.gate.check_outputs(outputs)
    }
}

/// Gradient of [`Router`] with respect to its rows, its projection and the gate's own inputs.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x`, `w_gate` | as in [`Router`] | |
/// | `logits` | `[tokens, experts]`, as the forward pass gave them | f32 |
/// | the gate's other inputs | as in [`TopKGateBackward`] | |
/// | `d_logits_more` | `[tokens, experts]`, added to the gate's: the gradient of auxiliary losses; if `more` | f32 |
/// | → `d_x` | `[tokens, hidden]` | `dtype` |
/// | → `d_w_gate` | `[hidden, experts]` | f32 |
/// | → the gate's other gradients | as in [`TopKGateBackward`] | |
///
/// ```text
/// d_x = d_logits·w_gateᵀ,   d_w_gate = xᵀ·d_logits
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterBackward {
    /// The gate's gradient.
    pub gate: TopKGateBackward,
    /// Width of a token's row, 1 to 65,536.
    pub hidden: usize,
    /// Storage type of `x` and `d_x`.
    #[serde(default)]
    pub dtype: Dtype,
    /// Whether there is an input `d_logits_more`.
    #[serde(default)]
    pub more: bool,
}

impl RouterBackward {
    /// The forward pass.
    pub fn forward(&self) -> Router {
        Router { gate: self.gate.forward.clone(), hidden: self.hidden, dtype: self.dtype }
    }

    /// The shape of logits.
    fn logits(&self) -> [usize; 2] {
        [self.gate.forward.tokens, self.gate.forward.experts]
    }
}

/// Inputs of [`RouterBackward`].
#[derive(Debug, Clone, Default)]
pub struct RouterBackwardInputs {
    /// `[tokens, hidden]`.
    pub x: Tensor,
    /// `[hidden, experts]`, f32.
    pub w_gate: Tensor,
    /// The gate's, with the logits of the forward pass.
    pub gate: GateBackwardInputs,
    /// `[tokens, experts]`, f32.
    pub d_logits_more: Option<Tensor>,
}

impl From<RouterBackwardInputs> for Tensors {
    fn from(i: RouterBackwardInputs) -> Self {
        let all: Self = i.gate.into();
        all.with("x", i.x).with("w_gate", i.w_gate).with_some("d_logits_more", i.d_logits_more)
    }
}

/// Outputs of [`RouterBackward`].
#[derive(Debug, Clone)]
pub struct RouterBackwardOutputs {
    /// `[tokens, hidden]`.
    pub d_x: Tensor,
    /// `[hidden, experts]`, f32.
    pub d_w_gate: Tensor,
    /// The gate's; `d_logits` is empty.
    pub gate: GateBackwardOutputs,
}

impl From<Tensors> for RouterBackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        let (d_x, d_w_gate) = (t.take("d_x").unwrap_or_default(), t.take("d_w_gate").unwrap_or_default());
        Self { d_x, d_w_gate, gate: t.into() }
    }
}

impl Op for RouterBackward {
    const NAME: &'static str = "router_backward";
    type Inputs = RouterBackwardInputs;
    type Outputs = RouterBackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let forward = self.forward();
        let mut all = vec![forward.x(), forward.w_gate(), Operand::input("logits", self.logits(), Dtype::F32)];
        all.extend(others(self.gate.operands(), Role::Input));
        all.extend(self.more.then(|| Operand::input("d_logits_more", self.logits(), Dtype::F32)));
        all.push(Operand::output("d_x", forward.x().dims, self.dtype));
        all.push(Operand::output("d_w_gate", forward.w_gate().dims, Dtype::F32));
        all.extend(others(self.gate.operands(), Role::Output));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.gate.validate()?;
        self.forward().check()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: two products of the projection's size, and the gate's gradient.
    fn cost(&self) -> Cost {
        let [tokens, experts] = self.logits();
        let products = 4.0 * tokens as f64 * experts as f64 * self.hidden as f64;
        Cost { flops: products + self.gate.cost().flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("{}{}.{}", self.gate.label(), if self.more { ".more" } else { "" }, self.dtype)
    }

    fn size_label(&self) -> String {
        format!("{} H{}", self.gate.size_label(), self.hidden)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.gate.check_values(inputs)
    }
}
