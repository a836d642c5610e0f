//! The gate: which experts a token goes to, and with what weights.

mod backward;
mod options;
mod presets;
mod values;

use serde::{Deserialize, Serialize};

use super::{MAX_ASSIGNMENTS, MAX_EXPERTS, MAX_TOP_K, NO_ROW, NanLogits};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

pub use backward::{GateBackwardInputs, GateBackwardOutputs, TopKGateBackward};
pub use options::{ExpertGroups, GateActivation, GateWeight, GroupScore, Score};
pub use presets::{ROUTER_PRESETS, RouterPreset};

/// Most groups of experts.
pub const MAX_GROUPS: usize = 64;
/// Most scores that a group's score is the sum of.
pub const MAX_GROUP_TERMS: usize = 16;
/// Logits, biases and their sums saturate at ± this.
pub const LOGIT_LIMIT: f32 = 3.0e38;
/// Temperatures.
pub const TEMPERATURES: std::ops::RangeInclusive<f32> = 1e-9..=1e9;

/// The gate of a mixture of experts: for every token the `top_k` best experts, and their weights. All published gates are one formula:
///
/// ```text
/// x = activation(logits) + logit_bias        z = x / temperature
/// p = score(z)                               c = p + selection_bias, or x where no bias and no sum decides
/// groups: the `keep` best by max c or by the sum of the r largest c; experts of the others count as −∞
/// I = top_k of c, descending                 equal: the lower index first
/// w̃ = p_I, softmax(z_I), sigmoid(z_I) or z_I
/// w̃ below threshold: the slot stays empty
/// weights = scale · w̃ / (Σ w̃ + ε)            without renormalize: scale · w̃
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `logits` | `[tokens, experts]` | `dtype` |
/// | `logit_bias` | `[experts]` | f32; if asked for. Differentiated |
/// | `selection_bias` | `[experts]` | f32; if asked for. Decides who is chosen, never a weight, and has no gradient |
/// | `temperature` | `[1]` | f32 of 10⁻⁹ to 10⁹; if asked for. Differentiated |
/// | `token_mask` | `[tokens]` | u32, 0: padding; if asked for |
/// | → `weights` | `[tokens, top_k]` | f32 |
/// | → `indices` | `[tokens, top_k]` | u32: expert, or [`NO_EXPERT`](super::NO_EXPERT); [`ELSEWHERE`](super::ELSEWHERE) is added outside `expert_range` |
/// | → `scores` | `[tokens, experts]` | f32, `p`; if asked for. The dense gate, and what load losses read |
/// | → `lse` | `[tokens]` | f32, `ln Σ exp z`; if asked for. What the router z-loss reads |
/// | → `rejected` | `[2]` | u32: how many logits are NaN, and the flat index of the first or [`NO_ROW`]; if NaN is refused |
///
/// An expert whose logit or bias is `−∞` (or NaN, with [`NanLogits::Lowest`]) is not chosen by the token and has `p = 0`; slots for which nobody is
/// left hold `NO_EXPERT` and weight 0. A token that is padding, or has no expert left, has empty slots only, scores of 0 and `lse = −∞`. Other logits
/// saturate at ±3·10³⁸. What is not finite in `selection_bias` is never chosen. Ranking is exact: −0 and 0 are equal, and between logits no rounding
/// decides. With Σ w̃ + ε = 0 weights are 0.
///
/// Weights of experts outside `expert_range` are 0 *after* normalisation: what other devices add completes the token. An expert that a capacity drops
/// later leaves the others' weights as they are.
///
/// Sources: Shazeer et al. (arXiv 1701.06538); Fedus et al., *Switch* (2101.03961); DeepSeek-V2 and -V3 (2405.04434, 2412.19437); Nguyen et al., *Is
/// Temperature Sample Efficient for Softmax Gaussian Mixture of Experts?* (2401.13875); and see [`ROUTER_PRESETS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKGate {
    /// Tokens; 0 is legal.
    pub tokens: usize,
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// Experts of a token, 1 to 64 and at most `experts`.
    pub top_k: usize,
    /// What a logit means.
    #[serde(default)]
    pub score: Score,
    /// Where weights come from.
    #[serde(default)]
    pub weight: GateWeight,
    /// Of every logit, before anything else.
    #[serde(default)]
    pub activation: GateActivation,
    /// Whether there is an input `temperature`.
    #[serde(default)]
    pub temperature: bool,
    /// Whether there is an input `logit_bias`.
    #[serde(default)]
    pub logit_bias: bool,
    /// Whether there is an input `selection_bias`.
    #[serde(default)]
    pub selection_bias: bool,
    /// Experts in groups.
    #[serde(default)]
    pub groups: Option<ExpertGroups>,
    /// Whether weights are divided by their sum plus this ε, 0 or more.
    #[serde(default)]
    pub renormalize: Option<f32>,
    /// Factor on the weights.
    #[serde(default = "one")]
    pub scale: f32,
    /// Slots whose weight is below this, before renormalisation and scale, stay empty: a number of experts that varies with the token.
    #[serde(default)]
    pub threshold: Option<f32>,
    /// Whether there is an input `token_mask`.
    #[serde(default)]
    pub token_mask: bool,
    /// The experts `start .. end` at hand; others are another device's.
    #[serde(default)]
    pub expert_range: Option<[usize; 2]>,
    /// Whether there is an output `scores`.
    #[serde(default)]
    pub scores: bool,
    /// Whether there is an output `lse`.
    #[serde(default)]
    pub lse: bool,
    /// What a NaN means.
    #[serde(default)]
    pub nan: NanLogits,
    /// Storage type of `logits`.
    #[serde(default)]
    pub dtype: Dtype,
}

fn one() -> f32 {
    1.0
}

impl TopKGate {
    /// Softmax over all experts, the `top_k` best with their probabilities.
    pub fn new(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self {
            tokens,
            experts,
            top_k,
            score: Score::Softmax,
            weight: GateWeight::Score,
            activation: GateActivation::None,
            temperature: false,
            logit_bias: false,
            selection_bias: false,
            groups: None,
            renormalize: None,
            scale: 1.0,
            threshold: None,
            token_mask: false,
            expert_range: None,
            scores: false,
            lse: false,
            nan: NanLogits::Refuse,
            dtype: Dtype::F32,
        }
    }

    /// Whether the computed `c = p + selection_bias` ranks experts: a bias or a sum of scores decides. Else the logits do.
    pub fn ranks_by_score(&self) -> bool {
        let sums = self.groups.is_some_and(|g| g.score.terms() > 1);
        self.selection_bias || sums
    }

    /// Whether weights are the softmax of the chosen logits: asked for, or, which is the same, the softmax of all divided by its sum over the chosen. That
    /// sum may be too small for f32, so kernels never form it.
    pub fn weighs_by_selected_softmax(&self) -> bool {
        let renormalised = self.score == Score::Softmax && self.weight == GateWeight::Score;
        let folded = renormalised && self.renormalize == Some(0.0) && self.threshold.is_none();
        folded || self.weight == GateWeight::SelectedSoftmax
    }

    /// The ε of weights that are divided by their sum, unless that is the softmax's own.
    pub fn divisor_epsilon(&self) -> Option<f32> {
        self.renormalize.filter(|_| !self.weighs_by_selected_softmax())
    }

    /// The inputs that gradients need, too.
    fn shared_inputs(&self) -> Vec<Operand> {
        let bias = |name| Operand::input(name, [self.experts], Dtype::F32);
        let mut all = vec![Operand::input("logits", [self.tokens, self.experts], self.dtype)];
        all.extend(self.logit_bias.then(|| bias("logit_bias")));
        all.extend(self.temperature.then(|| Operand::input("temperature", [1], Dtype::F32)));
        all.extend(self.token_mask.then(|| Operand::input("token_mask", [self.tokens], Dtype::U32)));
        all
    }

    fn check_sizes(&self) -> Result<(), SpecError> {
        let &Self { tokens, experts, top_k, .. } = self;
        let dim = |dim, expected: String, given| Err(SpecError::Dim { dim, expected, given });
        if experts == 0 || experts > MAX_EXPERTS {
            return dim("experts", format!("1 to {MAX_EXPERTS}"), experts);
        }
        let reachable = self.groups.map_or(experts, |g| g.keep.saturating_mul(experts / g.groups.max(1)));
        let most = MAX_TOP_K.min(experts).min(reachable.max(1));
        if top_k == 0 || top_k > most {
            return dim("top_k", format!("1 to {most}"), top_k);
        }
        if tokens > MAX_ASSIGNMENTS / top_k {
            return dim("tokens", format!("at most {MAX_ASSIGNMENTS} / top_k = {top_k}"), tokens);
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), SpecError> {
        let Some(ExpertGroups { groups, keep, score }) = self.groups else { return Ok(()) };
        let option = |option, expected: String, given: usize| {
            Err(SpecError::Option { option, expected, given: given.to_string() })
        };
        if groups == 0 || groups > MAX_GROUPS || !self.experts.is_multiple_of(groups) {
            return option("groups", format!("a divisor of experts = {}, at most {MAX_GROUPS}", self.experts), groups);
        }
        if keep == 0 || keep > groups {
            return option("groups.keep", format!("1 to groups = {groups}"), keep);
        }
        let most = MAX_GROUP_TERMS.min(self.experts / groups);
        match score.terms() {
            r if r == 0 || r > most => option("groups.score", format!("a sum of 1 to {most}"), r),
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), SpecError> {
        let option =
            |option, expected: &str, given: String| Err(SpecError::Option { option, expected: expected.into(), given });
        if let Some(epsilon) = self.renormalize.filter(|e| !(0.0..=1.0).contains(e)) {
            return option("renormalize", "0 to 1", epsilon.to_string());
        }
        if !self.scale.is_finite() {
            return option("scale", "a finite number", self.scale.to_string());
        }
        if let Some(threshold) = self.threshold.filter(|t| !t.is_finite()) {
            return option("threshold", "a finite number", threshold.to_string());
        }
        if let Some([start, end]) = self.expert_range.filter(|[start, end]| start >= end || *end > self.experts) {
            let expected = format!("start < end <= experts = {}", self.experts);
            return option("expert_range", &expected, format!("{start} .. {end}"));
        }
        if self.dtype == Dtype::U32 {
            return option("dtype", "f32 or f16", "u32".into());
        }
        Ok(())
    }

    fn check_weights(&self) -> Result<(), SpecError> {
        if self.weight != GateWeight::SelectedSoftmax {
            return Ok(());
        }
        let conflict = |option, reason| Err(SpecError::Conflict { option, with: "weight: selected_softmax", reason });
        if self.renormalize.is_some() {
            return conflict("renormalize", "these weights sum to 1 as they are");
        }
        if self.threshold.is_some() {
            return conflict("threshold", "the gradient of the chosen softmax needs those that were left out");
        }
        Ok(())
    }
}

/// Inputs of [`TopKGate`].
#[derive(Debug, Clone, Default)]
pub struct GateInputs {
    /// `[tokens, experts]`.
    pub logits: Tensor,
    /// `[experts]`, f32.
    pub logit_bias: Option<Tensor>,
    /// `[experts]`, f32.
    pub selection_bias: Option<Tensor>,
    /// `[1]`, f32.
    pub temperature: Option<Tensor>,
    /// `[tokens]`, u32.
    pub token_mask: Option<Tensor>,
}

impl From<GateInputs> for Tensors {
    fn from(i: GateInputs) -> Self {
        Self::new()
            .with("logits", i.logits)
            .with_some("logit_bias", i.logit_bias)
            .with_some("selection_bias", i.selection_bias)
            .with_some("temperature", i.temperature)
            .with_some("token_mask", i.token_mask)
    }
}

/// Outputs of [`TopKGate`].
#[derive(Debug, Clone)]
pub struct GateOutputs {
    /// `[tokens, top_k]`, f32.
    pub weights: Tensor,
    /// `[tokens, top_k]`, u32.
    pub indices: Tensor,
    /// `[tokens, experts]`, f32.
    pub scores: Option<Tensor>,
    /// `[tokens]`, f32.
    pub lse: Option<Tensor>,
    /// `[2]`, u32.
    pub rejected: Option<Tensor>,
}

impl From<Tensors> for GateOutputs {
    fn from(mut t: Tensors) -> Self {
        Self {
            weights: t.take("weights").unwrap_or_default(),
            indices: t.take("indices").unwrap_or_default(),
            scores: t.take("scores"),
            lse: t.take("lse"),
            rejected: t.take("rejected"),
        }
    }
}

impl Op for TopKGate {
    const NAME: &'static str = "top_k_gate";
    type Inputs = GateInputs;
    type Outputs = GateOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { tokens, experts, top_k, .. } = self;
        let mut all = self.shared_inputs();
        all.extend(self.selection_bias.then(|| Operand::input("selection_bias", [experts], Dtype::F32)));
        all.push(Operand::output("weights", [tokens, top_k], Dtype::F32));
        all.push(Operand::output("indices", [tokens, top_k], Dtype::U32));
        all.extend(self.scores.then(|| Operand::output("scores", [tokens, experts], Dtype::F32)));
        all.extend(self.lse.then(|| Operand::output("lse", [tokens], Dtype::F32)));
        all.extend((self.nan == NanLogits::Refuse).then(|| Operand::output("rejected", [2], Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        // groups first: the most experts of a token depend on them
        if self.experts > 0 && self.experts <= MAX_EXPERTS {
            self.check_groups()?;
        }
        self.check_sizes()?;
        self.check_numbers()?;
        self.check_weights()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 6 per logit (its score, a comparison, the sums), 4 per slot.
    fn cost(&self) -> Cost {
        let flops = self.tokens as f64 * (6.0 * self.experts as f64 + 4.0 * self.top_k as f64);
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let mut parts = vec![self.score.name().to_string(), self.weight.name().into()];
        if self.activation != GateActivation::None {
            parts.push(format!("act_{}", self.activation.name()));
        }
        parts.extend(self.groups.map(|g| match g.score {
            GroupScore::Max => "groups_max".into(),
            GroupScore::TopSum(r) => format!("groups_sum{r}"),
        }));
        let options = [
            ("temperature", self.temperature),
            ("logit_bias", self.logit_bias),
            ("selection_bias", self.selection_bias),
            ("renormalize", self.renormalize.is_some()),
            ("scaled", self.scale.to_bits() != 1.0f32.to_bits()),
            ("threshold", self.threshold.is_some()),
            ("token_mask", self.token_mask),
            ("range", self.expert_range.is_some()),
            ("scores", self.scores),
            ("lse", self.lse),
            ("nan_lowest", self.nan == NanLogits::Lowest),
        ];
        parts.extend(options.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_string()));
        parts.push(self.dtype.to_string());
        parts.join(".")
    }

    fn size_label(&self) -> String {
        format!("T{} E{} k{}", self.tokens, self.experts, self.top_k)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        values::check_inputs(self, inputs)
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        match outputs.get("rejected").and_then(Tensor::as_u32) {
            Some(&[count, first]) if count > 0 && first < NO_ROW => {
                Err(SpecError::NonFiniteRouting { operand: "logits", first: first as usize, count: count as usize })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
