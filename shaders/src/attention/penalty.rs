//! A penalty on the length of keys: the core's key bias, formed by a kernel instead of copied, and what it adds to the gradient of the keys.

use gatefold_core::Attention;

use super::dressed::bound;
use super::layout::{Members, key_count};
use super::row_map::{Kind, RowMap, largest};
use super::split::{Split, Work};
use super::{FLAT, files, flat_step};
use crate::source::wgsl;
use crate::{Limits, Param, Plan, PlanError, Source, Step};

/// The key bias of an attention: given, or not.
fn given(a: &Attention) -> (Source, &'static str) {
    match (a.key_bias, a.key_bias_per_head) {
        (false, _) => (wgsl!("attention/key_bias/none.wgsl"), ""),
        (true, false) => (wgsl!("attention/key_bias/shared.wgsl"), ".shared"),
        (true, true) => (wgsl!("attention/key_bias/per_head.wgsl"), ".per_head"),
    }
}

/// Sets a member of `params` in all dispatches.
fn set(split: &mut Split, member: &str, value: Param) {
    let params = split.dispatches.iter_mut().flat_map(|d| &mut d.params);
    params.filter(|(name, _)| *name == member).for_each(|(_, param)| *param = value);
}

/// What the steps share.
pub(super) struct Penalty<'a> {
    a: &'a Attention,
    limits: &'a Limits,
    half: f32,
}

impl<'a> Penalty<'a> {
    /// The penalty of an attention, if it has one and there are keys.
    pub(super) fn of(a: &'a Attention, limits: &'a Limits) -> Option<Self> {
        let half = a.half_penalty().filter(|_| a.dims.seq_kv > 0)?;
        Some(Self { a, limits, half })
    }

    fn map(&self) -> RowMap<'a> {
        RowMap { a: self.a, limits: self.limits, kind: Kind::Key }
    }

    fn slots(&self) -> Vec<Source> {
        vec![files::SHAPE, wgsl!("attention/row_map/scaled.wgsl"), files::KEY_ROWS]
    }

    fn step(&self, name: String, kernel: Source, slots: Vec<Source>, mut split: Split) -> Step {
        set(&mut split, "key_penalty", Param::F32(self.half));
        let mut step = flat_step(name, (kernel, slots), Some(self.a.dtype), split);
        step.consts.push(largest(self.a.dtype));
        step
    }

    /// The step that forms the core's key bias, which is then no longer copied.
    pub(super) fn forward(&self, plan: &mut Plan) -> Result<Step, PlanError> {
        plan.packed.retain(|p| p.operand != "key_bias");
        let (given, part) = given(self.a);
        let slots = self.slots().into_iter().chain([given]).collect();
        let split = self.map().split("attention_key_penalty", &["k_rows"], &[])?;
        let name = format!("attention_key_penalty{part}.{}", self.a.dtype);
        let step = self.step(name, wgsl!("attention/key_penalty.wgsl"), slots, split);
        Ok(Step { binds: vec![("k_rows", bound(self.a, "k")), ("bias_rows", "key_bias")], ..step })
    }

    /// The steps after the core's gradient: for the keys, and for a key bias that is given. The core's own sum for its bias goes.
    pub(super) fn backward(&self, plan: &mut Plan) -> Result<Vec<Step>, PlanError> {
        let dispatches = plan.steps.iter().flat_map(|s| &s.dispatches);
        let known = dispatches.flat_map(|d| &d.params).filter(|(name, _)| *name == "key_sums_at");
        let sums = known.map(|&(_, at)| at).find(|at| *at != Param::U32(u32::MAX)).unwrap_or(Param::U32(0));
        let mut split = self.map().split("attention_key_penalty_backward", &["k_rows", "d_k_rows"], &[])?;
        set(&mut split, "key_sums_at", sums);
        let name = format!("attention_key_penalty_backward.{}", self.a.dtype);
        let step = self.step(name, wgsl!("attention/key_penalty_backward.wgsl"), self.slots(), split);
        let binds = vec![("k_rows", bound(self.a, "k")), ("d_k_rows", bound(self.a, "d_k"))];
        let mut steps = vec![Step { binds, ..step }];
        if !self.a.key_bias_per_head {
            plan.steps.retain(|s| !s.name.starts_with("attention_reduce_keys"));
            if self.a.key_bias {
                steps.push(self.sum_of_heads(sums)?);
            }
        }
        Ok(steps)
    }

    /// The gradient of a key bias that heads share.
    fn sum_of_heads(&self, sums: Param) -> Result<Step, PlanError> {
        let keys = key_count(self.a);
        let flat = Work::flat("attention_reduce_keys", keys.div_ceil(FLAT.into()), keys);
        let work = Work { step_trips: self.a.dims.kv_heads as u64, step_work: 1.0, ..flat };
        let mut split = work.split(&Members::around_core(self.a), self.limits)?;
        set(&mut split, "key_sums_at", sums);
        let kernel = (files::REDUCE_KEYS, vec![files::SHAPE, files::reduction_keys(self.a)]);
        Ok(flat_step("attention_reduce_keys.d_key_bias".into(), kernel, None, split))
    }
}
