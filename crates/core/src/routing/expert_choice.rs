//! Experts that choose their tokens.

use serde::{Deserialize, Serialize};

use super::{MAX_EXPERTS, NO_ROW, NanLogits};
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Most tokens that experts choose from.
pub const MAX_CHOICE_TOKENS: usize = 1 << 20;

/// Expert choice: every expert takes the `capacity` tokens that score highest with it, so that all experts have the same load and no loss must keep it even.
///
/// ```text
/// p[t, e] = softmax over e of logits[t, ·]
/// indices[e, ·] = the capacity tokens with the largest p[·, e], descending, equal ones by token;   weights[e, c] = p[indices[e, c], e]
/// out[t] = Σ_{(e, c): indices[e, c] = t} weights[e, c] · Y[e, c]
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `logits` | `[tokens, experts]` | `dtype` |
/// | `token_mask` | `[tokens]` | u32; if `token_mask`: 0 is padding, which no expert takes |
/// | → `weights` | `[experts, capacity]` | f32 |
/// | → `indices` | `[experts, capacity]` | u32, tokens |
/// | → `scores` | `[tokens, experts]` | f32, p; if `scores` |
/// | → `inverse` | `[tokens, experts]` | u32, `e·capacity + c`; if `inverse` |
/// | → `rejected` | `[2]` | u32: how many logits are NaN, and the first; if `nan` is `refuse` |
///
/// **It leaks the future.** Whether a token is taken hangs on all other tokens, later ones included: in a causal model, what is trained this way cannot be
/// decoded token by token. Encoders, vision and diffusion models have no such order.
///
/// A token may be taken by no expert, or by all. Where fewer than `capacity` tokens may be taken, the slots that are left hold
/// [`NO_ROW`] and weight 0. A logit of `−∞`, and a NaN where `nan` is `lowest`, has `p = 0` and its expert does not take that token; `+∞` and what is
/// beyond ±3·10³⁸ count as that. What of `p` is below 2⁻¹²⁶ is 0. With `nan = refuse` a NaN of a token that counts withholds the outputs. `p` of padding is 0 in
/// `scores`.
///
/// # What follows
/// Slot (e, c) is row `e·capacity + c` of [`rows`](Self::rows), so `indices`, flattened, *is* the permutation of a plan with one expert a token, and
/// [`offsets`](Self::offsets) are its offsets: dispatch gathers rows by it and grouped products take them as they are. With `inverse`, a combine of
/// `experts` slots a token (if they are few enough, 64) with weights `scores` is the sum above, on the device.
///
/// # Errors
/// [`SpecError::Dim`] for `tokens` (at most 2²⁰), `experts` (1 to 1024) and `capacity` (1 to `tokens`; 0 if there are none), [`SpecError::Option`] for a `dtype`
/// that is no float; after a run, [`SpecError::NonFiniteRouting`].
///
/// Source: Zhou et al., *Mixture-of-Experts with Expert Choice Routing* (arXiv 2202.09368).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertChoice {
    /// Tokens, at most 2²⁰; 0 is legal.
    pub tokens: usize,
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// Tokens that an expert takes, 1 to `tokens`: see [`capacity_for`](Self::capacity_for).
    pub capacity: usize,
    /// Whether some tokens are padding.
    #[serde(default)]
    pub token_mask: bool,
    /// Whether all of p is an output.
    #[serde(default)]
    pub scores: bool,
    /// Whether the row that each expert has for a token is an output.
    #[serde(default)]
    pub inverse: bool,
    /// What a NaN logit means.
    #[serde(default)]
    pub nan: NanLogits,
    /// Storage type of `logits`, and of their gradient.
    #[serde(default)]
    pub dtype: Dtype,
}

impl ExpertChoice {
    /// A choice from logits in f32.
    pub fn new(tokens: usize, experts: usize, capacity: usize) -> Self {
        Self {
            tokens,
            experts,
            capacity,
            token_mask: false,
            scores: false,
            inverse: false,
            nan: NanLogits::Refuse,
            dtype: Dtype::F32,
        }
    }

    /// The capacity at which a token is taken by `factor` experts on average, 2 as a rule: `⌈tokens·factor ÷ experts⌉`, from 1 to `tokens`.
    pub fn capacity_for(tokens: usize, experts: usize, factor: f64) -> usize {
        let wanted = (tokens as f64 * factor / experts.max(1) as f64).ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
        let wanted = wanted as usize;
        wanted.max(1).min(tokens)
    }

    /// Rows of all experts: `experts·capacity`.
    pub fn rows(&self) -> usize {
        self.experts * self.capacity
    }

    /// The first row of every expert, and the end: what a plan's `offsets` would be.
    pub fn offsets(&self) -> Vec<u32> {
        (0..=self.experts).map(|e| u32::try_from(e * self.capacity).unwrap_or(NO_ROW)).collect()
    }
}

/// Inputs of [`ExpertChoice`].
#[derive(Debug, Clone, Default)]
pub struct ExpertChoiceInputs {
    /// `[tokens, experts]`.
    pub logits: Tensor,
    /// `[tokens]`, u32.
    pub token_mask: Option<Tensor>,
}

impl From<ExpertChoiceInputs> for Tensors {
    fn from(i: ExpertChoiceInputs) -> Self {
        Self::new().with("logits", i.logits).with_some("token_mask", i.token_mask)
    }
}

/// Outputs of [`ExpertChoice`].
#[derive(Debug, Clone)]
pub struct ExpertChoiceOutputs {
    /// `[experts, capacity]`, f32.
    pub weights: Tensor,
    /// `[experts, capacity]`, u32.
    pub indices: Tensor,
    /// `[tokens, experts]`, f32.
    pub scores: Option<Tensor>,
    /// `[tokens, experts]`, u32.
    pub inverse: Option<Tensor>,
}

impl From<Tensors> for ExpertChoiceOutputs {
    fn from(mut t: Tensors) -> Self {
        Self {
            weights: t.take("weights").unwrap_or_default(),
            indices: t.take("indices").unwrap_or_default(),
            scores: t.take("scores"),
            inverse: t.take("inverse"),
        }
    }
}

impl Op for ExpertChoice {
    const NAME: &'static str = "expert_choice";
    type Inputs = ExpertChoiceInputs;
    type Outputs = ExpertChoiceOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { tokens, experts, capacity, dtype, .. } = self;
        let mut all = vec![Operand::input("logits", [tokens, experts], dtype)];
        all.extend(self.token_mask.then(|| Operand::input("token_mask", [tokens], Dtype::U32)));
        all.push(Operand::output("weights", [experts, capacity], Dtype::F32));
        all.push(Operand::output("indices", [experts, capacity], Dtype::U32));
        all.extend(self.scores.then(|| Operand::output("scores", [tokens, experts], Dtype::F32)));
        all.extend(self.inverse.then(|| Operand::output("inverse", [tokens, experts], Dtype::U32)));
        all.extend((self.nan == NanLogits::Refuse).then(|| Operand::output("rejected", [2], Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        let least = usize::from(self.tokens > 0);
        for (dim, given, least, most) in [
            ("tokens", self.tokens, 0, MAX_CHOICE_TOKENS),
            ("experts", self.experts, 1, MAX_EXPERTS),
            ("capacity", self.capacity, least, self.tokens),
        ] {
            if given < least || given > most {
                return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
            }
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: four per logit for the softmax, as the row functions count it; comparisons are none.
    fn cost(&self) -> Cost {
        Cost { flops: 4.0 * self.tokens as f64 * self.experts as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let part = |on: bool, name: &'static str| if on { name } else { "" };
        format!(
            "softmax{}{}{}{}.{}",
            part(self.token_mask, ".mask"),
            part(self.scores, ".scores"),
            part(self.inverse, ".inverse"),
            part(self.nan == NanLogits::Lowest, ".lowest"),
            self.dtype
        )
    }

    fn size_label(&self) -> String {
        format!("T{} E{} C{}", self.tokens, self.experts, self.capacity)
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        match outputs.get("rejected").and_then(Tensor::as_u32) {
            Some(&[count, first]) if count > 0 => {
                Err(SpecError::NonFiniteRouting { operand: "logits", first: first as usize, count: count as usize })
            }
            _ => Ok(()),
        }
    }
}

/// The gradient of [`ExpertChoice`] with respect to its logits. The choice itself has none.
///
/// ```text
/// G[t, e] = d_weights[e, c] where indices[e, c] = t, else 0;   d_logits[t, e] = p[t, e] · (G[t, e] − Σ_f p[t, f]·G[t, f])
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `logits` | `[tokens, experts]` | `dtype` |
/// | `indices` | `[experts, capacity]` | u32, as the forward pass gave them |
/// | `d_weights` | `[experts, capacity]` | f32 |
/// | → `d_logits` | `[tokens, experts]` | `dtype` |
///
/// All logits of a token that an expert took have a gradient. A logit that is NaN or `−∞` has `p = 0` and gradient 0. What is not finite in `d_weights` makes its
/// token's row NaN; that of a slot without a token is not looked at. `scores` has no part here: a loss on it brings its own gradient.
///
/// # Errors
/// As [`ExpertChoice`]; [`SpecError::Value`] for an index that is neither a token nor [`NO_ROW`], or that an expert has twice. On the device such an index adds
/// nothing.
///
/// Source: Zhou et al., *Mixture-of-Experts with Expert Choice Routing* (arXiv 2202.09368); the gradient of softmax.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertChoiceBackward {
    /// The spec of the forward pass. Its sizes and its `dtype` count.
    pub forward: ExpertChoice,
}

impl ExpertChoiceBackward {
    /// The gradient of a choice.
    pub fn new(forward: ExpertChoice) -> Self {
        Self { forward }
    }
}

/// Inputs of [`ExpertChoiceBackward`].
#[derive(Debug, Clone, Default)]
pub struct ExpertChoiceBackwardInputs {
    /// `[tokens, experts]`.
    pub logits: Tensor,
    /// `[experts, capacity]`, u32.
    pub indices: Tensor,
    /// `[experts, capacity]`, f32.
    pub d_weights: Tensor,
}

impl From<ExpertChoiceBackwardInputs> for Tensors {
    fn from(i: ExpertChoiceBackwardInputs) -> Self {
        Self::new().with("logits", i.logits).with("indices", i.indices).with("d_weights", i.d_weights)
    }
}

/// Outputs of [`ExpertChoiceBackward`].
#[derive(Debug, Clone)]
pub struct ExpertChoiceBackwardOutputs {
    /// `[tokens, experts]`.
    pub d_logits: Tensor,
}

impl From<Tensors> for ExpertChoiceBackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { d_logits: t.take("d_logits").unwrap_or_default() }
    }
}

impl Op for ExpertChoiceBackward {
    const NAME: &'static str = "expert_choice_backward";
    type Inputs = ExpertChoiceBackwardInputs;
    type Outputs = ExpertChoiceBackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &ExpertChoice { tokens, experts, capacity, dtype, .. } = &self.forward;
        vec![
            Operand::input("logits", [tokens, experts], dtype),
            Operand::input("indices", [experts, capacity], Dtype::U32),
            Operand::input("d_weights", [experts, capacity], Dtype::F32),
            Operand::output("d_logits", [tokens, experts], dtype),
        ]
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.forward.validate()
    }

    /// FLOPs: four per logit for the softmax, and four for its gradient.
    fn cost(&self) -> Cost {
        Cost { flops: 2.0 * self.forward.cost().flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        format!("softmax.{}", self.forward.dtype)
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        let tokens = self.forward.tokens;
        let indices = inputs.get("indices").and_then(Tensor::as_u32).unwrap_or(&[]);
        // the expert that took a token last, counted from 1
        let mut taken_by = vec![0; tokens];
        for (index, &token) in indices.iter().enumerate().filter(|(_, token)| **token != NO_ROW) {
            let expert = index / self.forward.capacity.max(1) + 1;
            let last = taken_by.get_mut(token as usize);
            if last.as_ref().is_none_or(|last| **last == expert) {
                let expected = format!("a token below {tokens} that its expert has once, or {NO_ROW}");
                return Err(SpecError::Value { operand: "indices".into(), index, expected, given: token.to_string() });
            }
            if let Some(last) = last {
                *last = expert;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_rounded_up_and_within_the_tokens() {
        let capacity = ExpertChoice::capacity_for;
        assert_eq!((capacity(32, 8, 2.0), capacity(33, 8, 2.0), capacity(3, 8, 2.0)), (8, 9, 1));
        assert_eq!((capacity(5, 1, 2.0), capacity(0, 8, 2.0), capacity(9, 4, f64::NAN)), (5, 0, 1));
    }

    #[test]
    fn rows_of_experts_follow_each_other() {
        let op = ExpertChoice::new(10, 3, 4);
        assert_eq!((op.rows(), op.offsets()), (12, vec![0, 4, 8, 12]));
    }

    fn refused(wrong: Result<(), SpecError>, name: &str) {
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.starts_with(name), "{wrong}");
    }

    #[test]
    fn mistakes_are_named() {
        let base = ExpertChoice::new(10, 3, 4);
        let with = |change: fn(&mut ExpertChoice)| {
            let mut op = base.clone();
            change(&mut op);
            op.validate()
        };
        refused(with(|op| op.tokens = MAX_CHOICE_TOKENS + 1), "tokens");
        refused(with(|op| op.experts = 0), "experts: expected 1 to 1024");
        refused(with(|op| op.experts = 1025), "experts");
        refused(with(|op| op.capacity = 0), "capacity: expected 1 to 10");
        refused(with(|op| op.capacity = 11), "capacity");
        refused(with(|op| op.dtype = Dtype::U32), "dtype");
        refused(with(|op| op.tokens = 0), "capacity: expected 0 to 0");
        assert!(with(|op| (op.tokens, op.capacity) = (0, 0)).is_ok());
        let logits = Tensor::f32([10, 3], vec![0.0; 30]).unwrap();
        let given = Tensors::new().with("logits", logits.clone());
        assert!(base.check_inputs(&given).is_ok());
        let masked = ExpertChoice { token_mask: true, ..base.clone() };
        refused(masked.check_inputs(&given), "token_mask");
        refused(base.check_inputs(&given.clone().with("token_mask", logits)), "token_mask");
        refused(ExpertChoice { dtype: Dtype::F16, ..base }.check_inputs(&given), "logits");
    }

    #[test]
    fn indices_of_the_gradient_are_tokens_once() {
        let op = ExpertChoiceBackward::new(ExpertChoice::new(3, 2, 2));
        let with = |indices: [u32; 4]| {
            let floats = |dims: [usize; 2]| Tensor::f32(dims, vec![0.0; dims[0] * dims[1]]).unwrap();
            let all = Tensors::new().with("logits", floats([3, 2])).with("d_weights", floats([2, 2]));
            op.check_inputs(&all.with("indices", Tensor::u32([2, 2], indices.to_vec()).unwrap()))
        };
        assert!(with([0, 2, 2, NO_ROW]).is_ok());
        assert!(with([NO_ROW, NO_ROW, 1, 0]).is_ok());
        refused(with([0, 3, 0, 1]), "indices[1]: expected a token below 3");
        refused(with([0, 1, 2, 2]), "indices[3]: expected a token below 3");
    }

    #[test]
    fn a_nan_that_a_run_met_withholds_the_outputs() {
        let op = ExpertChoice::new(10, 3, 4);
        let with = |words: [u32; 2]| {
            op.check_outputs(&Tensors::new().with("rejected", Tensor::u32([2], words.to_vec()).unwrap()))
        };
        assert!(with([0, NO_ROW]).is_ok());
        refused(with([2, 7]), "logits[7]: expected a number to rank by, got NaN; 2 such elements");
    }
}
