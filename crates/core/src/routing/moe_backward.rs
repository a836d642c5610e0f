//! The gradient of the whole layer.

use serde::{Deserialize, Serialize};

use super::{GateBackwardInputs, GateBackwardOutputs, Moe, RouterBackward, TopKGateBackward};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, Role, SpecError, Tensor, Tensors};

/// Gradient of [`Moe`] with respect to its rows and all its parameters, in one command buffer. Which experts a token has, and which assignments are
/// dropped, has no gradient. Rows inside the experts are formed again, not saved.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x`, `w_gate`, the gate's small inputs, `w_up`, `b_up`, `w_down`, `b_down` | as in [`Moe`] | |
/// | `logits`, `weights`, `indices` | as the forward pass gave them | |
/// | `d_o` | `[tokens, hidden]` | `dtype` |
/// | `d_logits_more` | `[tokens, experts]`: the gradient of auxiliary losses; if `more` | f32 |
/// | → `d_x` | `[tokens, hidden]` | `dtype` |
/// | → `d_w_gate` and the gate's other gradients | as in [`RouterBackward`] | |
/// | → `d_w_up`, `d_w_down` | as `w_up`, `w_down` | `dtype` |
/// | → `d_b_up`, `d_b_down` | as `b_up`, `b_down` | f32 |
///
/// ```text
/// d_y_r = w·d_o_t,   d_w_tj = y_r·d_o_t         r: row of assignment (t, j)
/// d_a = d_y·w_downᵀ, d_w_down_e = aᵀ·d_y        d_h = f′(h, d_a)
/// d_x_r = d_h·w_upᵀ, d_w_up_e = x_rᵀ·d_h        d_x_t = Σ_j d_x_r + d_logits·w_gateᵀ
/// ```
///
/// Source: Gale et al., *MegaBlocks* (arXiv 2211.15841).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoeBackward {
    /// The forward pass.
    pub forward: Moe,
    /// Whether there is an input `d_logits_more`.
    #[serde(default)]
    pub more: bool,
}

impl MoeBackward {
    /// The gradient of a layer without auxiliary losses.
    pub fn new(forward: Moe) -> Self {
        Self { forward, more: false }
    }

    /// The router's part of it.
    pub fn router(&self) -> RouterBackward {
        let router = &self.forward.router;
        let gate = TopKGateBackward::new(router.gate.clone());
        RouterBackward { gate, hidden: router.hidden, dtype: router.dtype, more: self.more }
    }
}

/// Inputs of [`MoeBackward`].
#[derive(Debug, Clone, Default)]
pub struct MoeBackwardInputs {
    /// `[tokens, hidden]`.
    pub x: Tensor,
    /// `[hidden, experts]`, f32.
    pub w_gate: Tensor,
    /// The gate's, with `logits` and `indices` of the forward pass; `d_weights` is not looked at.
    pub gate: GateBackwardInputs,
    /// `[tokens, top_k]`, f32, of the forward pass.
    pub weights: Tensor,
    /// `[experts, hidden, up]`.
    pub w_up: Tensor,
    /// `[experts, up]`, f32.
    pub b_up: Option<Tensor>,
    /// `[experts, width, hidden]`.
    pub w_down: Tensor,
    /// `[experts, hidden]`, f32.
    pub b_down: Option<Tensor>,
    /// `[tokens, hidden]`.
    pub d_o: Tensor,
    /// `[tokens, experts]`, f32.
    pub d_logits_more: Option<Tensor>,
}

impl From<MoeBackwardInputs> for Tensors {
    fn from(i: MoeBackwardInputs) -> Self {
        let mut all: Self = i.gate.into();
        all.take("d_weights");
        let all = all.with("x", i.x).with("w_gate", i.w_gate).with("weights", i.weights);
        let all = all.with("w_up", i.w_up).with("w_down", i.w_down).with("d_o", i.d_o);
        let all = all.with_some("b_up", i.b_up).with_some("b_down", i.b_down);
        all.with_some("d_logits_more", i.d_logits_more)
    }
}

/// Outputs of [`MoeBackward`].
#[derive(Debug, Clone)]
pub struct MoeBackwardOutputs {
    /// `[tokens, hidden]`.
    pub d_x: Tensor,
    /// `[hidden, experts]`, f32.
    pub d_w_gate: Tensor,
    /// `[experts, hidden, up]`.
    pub d_w_up: Tensor,
    /// `[experts, up]`, f32.
    pub d_b_up: Option<Tensor>,
    /// `[experts, width, hidden]`.
    pub d_w_down: Tensor,
    /// `[experts, hidden]`, f32.
    pub d_b_down: Option<Tensor>,
    /// The gate's; `d_logits` is empty.
    pub gate: GateBackwardOutputs,
}

impl From<Tensors> for MoeBackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        let [d_x, d_w_gate, d_w_up, d_w_down] =
            ["d_x", "d_w_gate", "d_w_up", "d_w_down"].map(|name| t.take(name).unwrap_or_default());
        let [d_b_up, d_b_down] = ["d_b_up", "d_b_down"].map(|name| t.take(name));
        Self { d_x, d_w_gate, d_w_up, d_b_up, d_w_down, d_b_down, gate: t.into() }
    }
}

impl Op for MoeBackward {
    const NAME: &'static str = "moe_backward";
    type Inputs = MoeBackwardInputs;
    type Outputs = MoeBackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let (f, router) = (&self.forward, self.router());
        let (inputs, outputs): (Vec<_>, Vec<_>) = router.operands().into_iter().partition(|o| o.role == Role::Input);
        let gate = &f.router.gate;
        let mut all: Vec<_> = inputs.into_iter().filter(|o| o.name != "d_weights").collect();
        all.push(Operand::input("weights", [gate.tokens, gate.top_k], Dtype::F32));
        let experts = f.expert_operands();
        all.extend(experts.iter().cloned());
        all.push(Operand::input("d_o", [gate.tokens, f.router.hidden], f.router.dtype));
        all.extend(outputs);
        all.extend(experts.into_iter().map(|o| {
            let name = match o.name {
                "w_up" => "d_w_up",
                "b_up" => "d_b_up",
                "w_down" => "d_w_down",
                _ => "d_b_down",
            };
            Operand::output(name, o.dims, o.dtype)
        }));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.router().validate()?;
        self.forward.validate()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: the router's, and three times the experts' products (one of them to form their rows again).
    fn cost(&self) -> Cost {
        let flops = self.router().cost().flops + 3.0 * self.forward.expert_flops();
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("{}{}", if self.more { "more." } else { "" }, self.forward.label())
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.router().check_values(inputs)
    }
}
