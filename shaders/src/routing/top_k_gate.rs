//! The plan of the gate: one step, after one that clears the count of refused logits.

use gatefold_core::routing::NanLogits;
use gatefold_core::{Dtype, Op, Operand, TopKGate};

use super::top_k_gate_files::{Files, forward};
use crate::plan::{MINUS_INFINITY_BITS, NAN_BITS, narrow, starts, wgsl_type};
use crate::source::wgsl;
use crate::spans::check_bindings;
use crate::{
    DeviceKind, Dispatch, Kernels, Limits, Packed, Param, Plan, PlanError, Scratch, Source, Step, fold_groups,
};

/// Name of the scratch that holds small inputs.
pub(super) const SIDE: &str = "side";

/// Multiply-adds that a logit costs, its exponentials included, and what a round of selection adds.
const LOGIT_WORK: f64 = 150.0;
const ROUND_WORK: f64 = 4.0;

/// How tokens are shared out to invocations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seats {
    /// Invocations of a token.
    pub(super) lanes: u32,
    /// Tokens of a workgroup.
    pub(super) tokens: u32,
    capacity: u32,
    slots: u32,
    groups: u32,
}

impl Seats {
    /// A GPU's workgroup is one wave, shared by several tokens if there are few experts. A CPU-type driver runs eight lanes at once, and waits at
    /// barriers for every further eight.
    pub(super) fn new(op: &TopKGate, limits: &Limits) -> Self {
        let power = |n: usize| narrow(n.next_power_of_two() as u64);
        let wave = match limits.kind {
            DeviceKind::Cpu => 8,
            DeviceKind::Gpu => limits.wave.min(limits.invocations).max(8),
        };
        let lanes = power(op.experts).clamp(8, wave);
        let groups = power(op.groups.map_or(1, |g| g.groups));
        Self { lanes, tokens: wave / lanes, capacity: power(op.experts), slots: power(op.top_k), groups }
    }

    fn consts(&self, has_groups: bool) -> Vec<(&'static str, u32)> {
        let Self { lanes, tokens, capacity, slots, groups } = *self;
        let all = [("LANES", lanes), ("TOKENS", tokens), ("CAPACITY", capacity), ("SLOTS", slots), ("GROUPS", groups)];
        all.into_iter().filter(|(name, _)| has_groups || *name != "GROUPS").collect()
    }

    fn name(&self, has_groups: bool) -> String {
        let groups = if has_groups { format!("g{}", self.groups) } else { String::new() };
        format!("l{}t{}e{}k{}{groups}", self.lanes, self.tokens, self.capacity, self.slots)
    }

    /// Trips of a loop over `n` things that a token's lanes share.
    pub(super) fn share(&self, n: usize) -> u64 {
        (n as u64).div_ceil(self.lanes.into())
    }

    /// Bytes of workgroup memory: the lanes' exchange, `arrays` words a slot, a word an expert, two a group.
    fn bytes(&self, arrays: u32, has_groups: bool) -> u64 {
        let groups = if has_groups { 8 * self.groups } else { 0 };
        u64::from(self.tokens) * u64::from(8 * self.lanes + 4 * arrays * self.slots + 4 * self.capacity + groups)
    }
}

/// The small inputs inside `side`, and the params that name their places.
pub(super) struct Side {
    pub(super) packed: Vec<Packed>,
    words: u64,
}

impl Side {
    pub(super) fn of(operands: &[Operand]) -> Self {
        let mut side = Self { packed: Vec::new(), words: 0 };
        for name in ["logit_bias", "selection_bias", "temperature", "token_mask"] {
            let Some(o) = operands.iter().find(|o| o.name == name && !o.is_empty()) else { continue };
            side.packed.push(Packed { operand: name, scratch: SIDE, offset: 4 * side.words, bytes: o.bytes() });
            side.words += o.len() as u64;
        }
        side
    }

    fn at(&self, operand: &str) -> u64 {
        self.packed.iter().find(|p| p.operand == operand).map_or(0, |p| p.offset / 4)
    }

    /// Adds the scratch to a plan.
    pub(super) fn finish(self, plan: &mut Plan, limits: &Limits) -> Result<(), PlanError> {
        let bytes = 4 * self.words;
        if bytes > limits.binding_bytes {
            return Err(PlanError::TooLarge { operand: SIDE.into(), need: bytes, have: limits.binding_bytes });
        }
        if bytes > 0 {
            plan.scratch.push(Scratch { name: SIDE, bytes });
            plan.packed.extend(self.packed);
        }
        Ok(())
    }
}

/// What the kernels of a gate are dispatched with.
pub(super) struct Job<'a> {
    pub(super) op: &'a TopKGate,
    pub(super) seats: Seats,
    pub(super) side: &'a Side,
    pub(super) limits: &'a Limits,
    /// Terms of a token, and the temperature's place among them.
    pub(super) terms: [usize; 2],
}

impl Job<'_> {
    fn params(&self) -> Vec<(&'static str, Param)> {
        let op = self.op;
        let [start, end] = op.expert_range.unwrap_or([0, op.experts]);
        let groups = op.groups;
        let terms = groups.map_or(0, |g| g.score.terms());
        let counts = [
            ("experts", op.experts),
            ("top_k", op.top_k),
            ("range_from", start),
            ("range_to", end),
            ("groups", groups.map_or(0, |g| g.groups)),
            ("kept_groups", groups.map_or(0, |g| g.keep)),
            ("group_experts", groups.map_or(op.experts, |g| op.experts / g.groups)),
            ("group_terms", terms),
            ("stride", self.terms[0]),
            ("heat_at", self.terms[1]),
        ];
        let places = [
            ("logit_bias_at", "logit_bias"),
            ("selection_bias_at", "selection_bias"),
            ("temperature_at", "temperature"),
            ("token_mask_at", "token_mask"),
        ];
        let counts = counts.map(|(name, n)| (name, n as u64)).into_iter();
        let words = counts.chain(places.map(|(name, operand)| (name, self.side.at(operand))));
        let mut all: Vec<_> = words.map(|(name, n)| (name, Param::U32(narrow(n)))).collect();
        all.extend([
            ("epsilon", Param::F32(op.divisor_epsilon().unwrap_or(0.0))),
            ("scale", Param::F32(op.scale)),
            ("threshold", Param::F32(op.threshold.unwrap_or(0.0))),
            ("nan", Param::U32(NAN_BITS)),
            ("minus_infinity", Param::U32(MINUS_INFINITY_BITS)),
        ]);
        all
    }

    /// Multiply-adds of a workgroup.
    fn group_work(&self) -> f64 {
        self.op.experts as f64 * (LOGIT_WORK + ROUND_WORK * self.op.top_k as f64) * f64::from(self.seats.tokens)
    }

    /// Dispatches over all tokens, each short enough.
    fn dispatches(&self) -> Vec<Dispatch> {
        let (op, limits) = (self.op, self.limits);
        let group_tokens = u64::from(self.seats.tokens);
        let work = self.group_work();
        let most_groups = limits.units_in_time(work).min(u64::from(limits.groups_per_dim).pow(2));
        let (tokens, step) = (op.tokens as u64, most_groups * group_tokens);
        let shared = self.params();
        let dispatch = |first: u64| {
            let end = (first + step).min(tokens);
            let groups = (end - first).div_ceil(group_tokens);
            let own = [("first", first), ("end", end), ("group_count", groups)];
            let own = own.map(|(name, n)| (name, Param::U32(narrow(n))));
            let grid = fold_groups(groups, limits.groups_per_dim);
            Dispatch { grid, params: own.into_iter().chain(shared.iter().copied()).collect(), windows: Vec::new() }
        };
        starts(tokens, step).map(dispatch).collect()
    }

    /// The step of a kernel over tokens.
    ///
    /// # Errors
    /// [`PlanError`] if the adapter has too little of something.
    pub(super) fn step(
        &self,
        (name, kernel, slot_arrays): (&'static str, Source, u32),
        files: Files,
        trips: u64,
    ) -> Result<Step, PlanError> {
        let (op, limits) = (self.op, self.limits);
        if op.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "logits in f16".into(), feature: "shader-f16" });
        }
        let has_groups = files.slots.iter().any(|s| s.path.ends_with("groups/limited.wgsl"));
        let bytes = self.seats.bytes(slot_arrays, has_groups);
        limits.check_time(name, self.group_work())?;
        let checks = [
            ("loop trips per invocation", trips, limits.loop_trips),
            ("bytes of workgroup memory", bytes, limits.workgroup_memory.into()),
        ];
        if let Some((limit, need, have)) = checks.into_iter().find(|(_, need, have)| need > have) {
            return Err(PlanError::Limit { kernel: name.into(), limit, need, have });
        }
        let variant = format!("{name}.{}.{}.{}", files.name(), op.dtype, self.seats.name(has_groups));
        Ok(Step {
            slots: files.slots,
            consts: self.seats.consts(has_groups),
            aliases: vec![("Elem", wgsl_type(op.dtype))],
            f16: op.dtype == Dtype::F16,
            trips,
            ..Step::plain(variant, kernel, self.dispatches())
        })
    }
}

/// Loop trips of an invocation of the forward kernel.
fn trips(op: &TopKGate, seats: &Seats) -> u64 {
    let (per_lane, lanes, top_k) = (seats.share(op.experts), u64::from(seats.lanes), op.top_k as u64);
    let groups = op.groups.map_or(0, |g| {
        let terms = g.score.terms() as u64;
        let size = (op.experts / g.groups) as u64;
        seats.share(g.groups) * (2 + terms * (size + 1) + g.groups as u64) + per_lane
    });
    let slots = 3 * seats.share(op.top_k) + 2 * top_k;
    4 * per_lane + 2 * lanes + groups + top_k * (1 + per_lane + lanes) + slots
}

/// The step that clears the count of refused logits.
fn clear() -> Step {
    Step::plain(
        "top_k_gate_clear",
        wgsl!("routing/top_k_gate_clear.wgsl"),
        vec![Dispatch { grid: [1, 1, 1], params: Vec::new(), windows: Vec::new() }],
    )
}

impl Kernels for TopKGate {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        let operands = self.operands();
        check_bindings(&operands, limits)?;
        let side = Side::of(&operands);
        if self.nan == NanLogits::Refuse {
            plan.steps.push(clear());
        }
        if self.tokens == 0 {
            plan.reasons.push("no tokens: nothing is chosen".into());
        } else {
            let seats = Seats::new(self, limits);
            plan.reasons.push(format!("{} lanes a token, {} tokens a workgroup", seats.lanes, seats.tokens));
            if self.weighs_by_selected_softmax() && self.renormalize.is_some() {
                plan.reasons.push("softmax of all, renormalised: the softmax of the chosen".into());
            }
            let job = Job { op: self, seats, side: &side, limits, terms: [0, 0] };
            let kernel = ("top_k_gate", wgsl!("routing/top_k_gate.wgsl"), 3);
            plan.steps.push(job.step(kernel, forward(self), trips(self, &seats))?);
        }
        if !plan.steps.is_empty() {
            side.finish(&mut plan, limits)?;
        }
        Ok(plan)
    }
}
