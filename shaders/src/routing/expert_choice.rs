//! The plans of expert choice and of its gradient: scores of tokens by the token, ranks by the expert.

use gatefold_core::routing::{NO_ROW, NanLogits};
use gatefold_core::{Dtype, ExpertChoice, ExpertChoiceBackward, Op};

use super::select::Choice;
use crate::plan::{NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Dispatch, Kernels, Limits, Param, Plan, PlanError, Scratch, Source, Step};

/// Multiply-adds that a logit costs: two exponentials, or three.
const LOGIT_WORK: f64 = 80.0;
/// The same of a word that is moved.
const WORD_WORK: f64 = 8.0;
/// Keys of all tokens, an expert's side by side.
const KEYS: &str = "choice_keys";
/// Gradients of weights where token and expert meet.
const GRADIENT: &str = "choice_gradient";

fn step(name: String, (kernel, slots): (Source, Vec<Source>), dtype: Option<Dtype>, dispatches: Vec<Dispatch>) -> Step {
    Step {
        slots,
        consts: vec![("INVOCATIONS", INVOCATIONS)],
        aliases: dtype.iter().map(|&d| ("Elem", wgsl_type(d))).collect(),
        f16: dtype == Some(Dtype::F16),
        ..Step::plain(name, kernel, dispatches)
    }
}

fn count(name: &'static str, n: usize) -> (&'static str, Param) {
    (name, Param::U32(narrow(n as u64)))
}

/// A step that writes `word` everywhere in `target`, `second` in its element 1.
fn fill(target: &'static str, elements: usize, word: u32, second: u32, limits: &Limits) -> Step {
    let params = [("word", Param::U32(word)), ("second", Param::U32(second))];
    let all = dispatches(elements as u64, WORD_WORK, limits, &params);
    let kernel = (wgsl!("routing/expert_choice/fill.wgsl"), Vec::new());
    Step { binds: vec![("spread", target)], ..step("expert_choice_fill".into(), kernel, None, all) }
}

/// A step that puts a word of every slot of `op` into `target`, where its token and expert meet.
fn spread(op: &ExpertChoice, target: &'static str, (name, word): (&str, Source), limits: &Limits) -> Step {
    let params = [count("tokens", op.tokens), count("experts", op.experts), count("capacity", op.capacity)];
    let all = dispatches(op.rows() as u64, WORD_WORK, limits, &params);
    let kernel = (wgsl!("routing/expert_choice/spread.wgsl"), vec![word]);
    Step { binds: vec![("spread", target)], ..step(format!("expert_choice_spread.{name}"), kernel, None, all) }
}

fn check_half(dtype: Dtype, operand: &str, limits: &Limits) -> Result<(), PlanError> {
    match dtype == Dtype::F16 && !limits.f16 {
        true => Err(PlanError::Feature { operand: operand.into(), feature: "shader-f16" }),
        false => Ok(()),
    }
}

/// A scratch with a word for every token and expert.
fn words(name: &'static str, op: &ExpertChoice, limits: &Limits) -> Result<Scratch, PlanError> {
    let bytes = 4 * op.tokens as u64 * op.experts as u64;
    if bytes > limits.binding_bytes {
        return Err(PlanError::TooLarge { operand: name.into(), need: bytes, have: limits.binding_bytes });
    }
    Ok(Scratch { name, bytes })
}

/// The step that leaves the keys, and the scores if they are asked for.
fn scores(op: &ExpertChoice, limits: &Limits) -> Step {
    let mask = if op.token_mask {
        wgsl!("routing/expert_choice/token_mask/given.wgsl")
    } else {
        wgsl!("routing/expert_choice/token_mask/all.wgsl")
    };
    let rejected = match op.nan {
        NanLogits::Refuse => wgsl!("routing/expert_choice/rejected/counted.wgsl"),
        NanLogits::Lowest => wgsl!("routing/expert_choice/rejected/none.wgsl"),
    };
    let store = if op.scores {
        wgsl!("routing/expert_choice/store_scores/stored.wgsl")
    } else {
        wgsl!("routing/expert_choice/store_scores/none.wgsl")
    };
    let params = [count("tokens", op.tokens), count("experts", op.experts)];
    let work = LOGIT_WORK * op.experts as f64;
    let all = dispatches(op.tokens as u64, work, limits, &params);
    let slots = vec![wgsl!("routing/expert_choice/logits.wgsl"), mask, rejected, store];
    let kernel = (wgsl!("routing/expert_choice/scores.wgsl"), slots);
    let name = format!(
        "expert_choice_scores{}{}{}.{}",
        if op.token_mask { ".mask" } else { "" },
        if op.nan == NanLogits::Refuse { ".refuse" } else { "" },
        if op.scores { ".scores" } else { "" },
        op.dtype
    );
    Step { trips: 3 * op.experts as u64, ..step(name, kernel, Some(op.dtype), all) }
}

impl Kernels for ExpertChoice {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        check_half(self.dtype, "logits in f16", limits)?;
        check_bindings(&self.operands(), limits)?;
        if self.nan == NanLogits::Refuse {
            plan.steps.push(fill("rejected", 2, 0, NO_ROW, limits));
        }
        if self.tokens == 0 {
            plan.reasons.push("no tokens: nothing to choose".into());
            return Ok(plan);
        }
        plan.scratch.push(words(KEYS, self, limits)?);
        plan.steps.push(scores(self, limits));
        let choice = Choice {
            stem: Self::NAME,
            variant: "p".into(),
            rows: self.experts as u64,
            cols: self.tokens as u64,
            count: self.capacity as u64,
            key_bits: 32,
            key: vec![wgsl!("routing/expert_choice/key.wgsl")],
            sink: vec![wgsl!("routing/expert_choice/store.wgsl")],
            sink_needs_key: false,
            consts: Vec::new(),
            binds: Vec::new(),
            f16: false,
            limits,
        };
        let made = choice.chosen()?;
        plan.steps.extend(made.steps);
        plan.scratch.extend(made.scratch);
        plan.reasons.push(made.reason);
        if self.inverse {
            let row = ("row", wgsl!("routing/expert_choice/spread/row.wgsl"));
            plan.steps.push(fill("inverse", self.tokens * self.experts, NO_ROW, NO_ROW, limits));
            plan.steps.push(spread(self, "inverse", row, limits));
        }
        Ok(plan)
    }
}

impl Kernels for ExpertChoiceBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let op = &self.forward;
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if op.tokens == 0 {
            plan.reasons.push("no tokens: nothing to run".into());
            return Ok(plan);
        }
        check_half(op.dtype, "logits, d_logits in f16", limits)?;
        check_bindings(&self.operands(), limits)?;
        plan.scratch.push(words(GRADIENT, op, limits)?);
        let d_weights = ("d_weights", wgsl!("routing/expert_choice/spread/d_weights.wgsl"));
        plan.steps.push(fill(GRADIENT, op.tokens * op.experts, 0, 0, limits));
        plan.steps.push(spread(op, GRADIENT, d_weights, limits));
        let params = [count("experts", op.experts), ("nan", Param::U32(NAN_BITS))];
        let all = dispatches(op.tokens as u64, LOGIT_WORK * op.experts as f64, limits, &params);
        let kernel = (wgsl!("routing/expert_choice/gradient.wgsl"), vec![wgsl!("routing/expert_choice/logits.wgsl")]);
        let name = format!("expert_choice_gradient.{}", op.dtype);
        plan.steps.push(Step { trips: 3 * op.experts as u64, ..step(name, kernel, Some(op.dtype), all) });
        plan.reasons.push("gradients of weights meet their tokens in a scratch, then a token an invocation".into());
        Ok(plan)
    }
}
