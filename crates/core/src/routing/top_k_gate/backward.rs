//! The gate's gradient.

use serde::{Deserialize, Serialize};

use super::{TopKGate, values};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Gradient of [`TopKGate`] with respect to `logits`, `logit_bias` and `temperature`. Who was chosen is a constant, so are `selection_bias`, groups and
/// slots that stayed empty; a softmax over all experts still gives those that were not chosen a gradient.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `logits`, `logit_bias`, `temperature`, `token_mask` | as forward | |
/// | `indices` | `[tokens, top_k]` | u32, as the forward pass left them |
/// | `d_weights` | `[tokens, top_k]` | f32; not looked at where a slot is empty or its expert is elsewhere |
/// | `d_scores` | `[tokens, experts]` | f32; if asked for |
/// | `d_lse` | `[tokens]` | f32; if asked for |
/// | → `d_logits` | `[tokens, experts]` | `dtype` |
/// | → `d_logit_bias` | `[experts]` | f32; if there is that bias |
/// | → `d_temperature` | `[1]` | f32; if there is a temperature |
///
/// With `G = d_weights`, `S = Σ w̃ + ε`, `ŵ = w̃/S`, `r = scale` and `z = x/τ`:
///
/// ```text
/// d_w̃ = r·(G − Σ ŵ G)/S        without renormalize: r·G
/// d_p = d_scores + d_w̃ (weights by score)
/// d_z = p·(d_p − Σ p d_p)                            softmax over all
///     | d_p·p(1 − p) | d_p·σ(z)/(2p) | d_p           sigmoid | sqrt_softplus | identity
///     + r·ŵ·(G − Σ ŵ G) | d_w̃·σ(z)(1 − σ(z)) | d_w̃   weights by the chosen: softmax | sigmoid | logit
///     + d_lse·softmax(z)
/// d_logits = activation′(logits)·d_z/τ    d_logit_bias = Σ_t d_z/τ    d_temperature = −Σ d_z·z/τ
/// ```
///
/// Scores are formed again from the logits. Experts that are masked have gradient 0, tokens that are padding 0 throughout. A number that is not finite
/// among a token's upstream gradients makes all its `d_logits` NaN, and the sums they go into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKGateBackward {
    /// The forward op.
    pub forward: TopKGate,
    /// Whether `scores` has an upstream gradient.
    #[serde(default)]
    pub d_scores: bool,
    /// Whether `lse` has an upstream gradient.
    #[serde(default)]
    pub d_lse: bool,
}

impl TopKGateBackward {
    /// The gradient through `weights` alone.
    pub fn new(forward: TopKGate) -> Self {
        Self { forward, d_scores: false, d_lse: false }
    }
}

/// Inputs of [`TopKGateBackward`].
#[derive(Debug, Clone, Default)]
pub struct GateBackwardInputs {
    /// `[tokens, experts]`.
    pub logits: Tensor,
    /// `[experts]`, f32.
    pub logit_bias: Option<Tensor>,
    /// `[1]`, f32.
    pub temperature: Option<Tensor>,
    /// `[tokens]`, u32.
    pub token_mask: Option<Tensor>,
    /// `[tokens, top_k]`, u32.
    pub indices: Tensor,
    /// `[tokens, top_k]`, f32.
    pub d_weights: Tensor,
    /// `[tokens, experts]`, f32.
    pub d_scores: Option<Tensor>,
    /// `[tokens]`, f32.
    pub d_lse: Option<Tensor>,
}

impl From<GateBackwardInputs> for Tensors {
    fn from(i: GateBackwardInputs) -> Self {
        Self::new()
            .with("logits", i.logits)
            .with_some("logit_bias", i.logit_bias)
            .with_some("temperature", i.temperature)
            .with_some("token_mask", i.token_mask)
            .with("indices", i.indices)
            .with("d_weights", i.d_weights)
            .with_some("d_scores", i.d_scores)
            .with_some("d_lse", i.d_lse)
    }
}

/// Outputs of [`TopKGateBackward`].
#[derive(Debug, Clone)]
pub struct GateBackwardOutputs {
    /// `[tokens, experts]`.
    pub d_logits: Tensor,
    /// `[experts]`, f32.
    pub d_logit_bias: Option<Tensor>,
    /// `[1]`, f32.
    pub d_temperature: Option<Tensor>,
}

impl From<Tensors> for GateBackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        Self {
            d_logits: t.take("d_logits").unwrap_or_default(),
            d_logit_bias: t.take("d_logit_bias"),
            d_temperature: t.take("d_temperature"),
        }
    }
}

impl Op for TopKGateBackward {
    const NAME: &'static str = "top_k_gate_backward";
    type Inputs = GateBackwardInputs;
    type Outputs = GateBackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let f = &self.forward;
        let mut all = f.shared_inputs();
        all.push(Operand::input("indices", [f.tokens, f.top_k], Dtype::U32));
        all.push(Operand::input("d_weights", [f.tokens, f.top_k], Dtype::F32));
        all.extend(self.d_scores.then(|| Operand::input("d_scores", [f.tokens, f.experts], Dtype::F32)));
        all.extend(self.d_lse.then(|| Operand::input("d_lse", [f.tokens], Dtype::F32)));
        all.push(Operand::output("d_logits", [f.tokens, f.experts], f.dtype));
        all.extend(f.logit_bias.then(|| Operand::output("d_logit_bias", [f.experts], Dtype::F32)));
        all.extend(f.temperature.then(|| Operand::output("d_temperature", [1], Dtype::F32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.forward.validate()?;
        let without = |option, with| SpecError::Conflict { option, with, reason: "the forward op has no such output" };
        if self.d_scores && !self.forward.scores {
            return Err(without("d_scores", "scores: false"));
        }
        if self.d_lse && !self.forward.lse {
            return Err(without("d_lse", "lse: false"));
        }
        check_addressable(&self.operands())
    }

    /// FLOPs: 12 per logit (its score again, the sums, the gradient), 8 per slot.
    fn cost(&self) -> Cost {
        let f = &self.forward;
        let flops = f.tokens as f64 * (12.0 * f.experts as f64 + 8.0 * f.top_k as f64);
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let given = [("d_scores", self.d_scores), ("d_lse", self.d_lse)];
        let given = given.into_iter().filter(|(_, is)| *is).map(|(name, _)| format!("{name}."));
        let forward = self.forward.label();
        match forward.rsplit_once('.') {
            Some((options, dtype)) => format!("{options}.{}{dtype}", given.collect::<String>()),
            None => forward,
        }
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        values::check_inputs(&self.forward, inputs)?;
        values::check_indices(&self.forward, inputs)
    }
}
