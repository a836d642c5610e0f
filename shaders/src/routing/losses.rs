//! Plans of a router's losses: counts of choices, sums over tokens in blocks, the experts' weights with the loss, and the gradient.
//!
//! Load balance is the congestion loss of hard loads, linear cost and λ = 1, so kernels know congestion only. What nobody asks for is not run: the
//! gradient of hard loads needs no sum of probabilities.

use gatefold_core::routing::{CongestionCost, Load, RouterLossKind};
use gatefold_core::{Dtype, Op, RouterLoss};

use crate::attention::block_sums::{BLOCK, Segments, total};
use crate::plan::{NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{DeviceKind, Dispatch, Kernels, Limits, Param, Plan, PlanError, Scratch, Source, Step};

/// Multiply-adds that a logit costs in a sum: two exponentials, a weight and their indices.
const LOGIT_WORK: f64 = 40.0;
/// The same of an assignment that is counted.
const ASSIGNMENT_WORK: f64 = 16.0;
/// Least assignments that a workgroup counts, and most workgroups that do: what each leaves is added up by one invocation an expert.
const LEAST_PORTION: u64 = 4096;
const MOST_PARTS: u64 = 512;

/// How tokens are shared out: rows of a block, and lanes of a row.
#[derive(Debug, Clone, Copy)]
struct Shape {
    rows: u32,
    span: u32,
}

/// Loop trips of a row's reductions, by its experts and lanes.
fn row_trips(experts: u64, span: u32) -> u64 {
    2 * experts.div_ceil(span.into()) + 2 * u64::from(span.ilog2())
}

impl Shape {
    /// Lanes of a row: a software driver's barriers are dear; on a GPU neighbours read neighbours.
    fn span(experts: u64, limits: &Limits) -> u32 {
        match limits.kind {
            DeviceKind::Cpu => 1,
            DeviceKind::Gpu => narrow(experts.next_power_of_two()).min(INVOCATIONS),
        }
    }

    fn trips(self, experts: u64) -> u64 {
        let rounds = u64::from(self.rows * self.span / INVOCATIONS);
        let columns = experts.div_ceil(INVOCATIONS.into()).max(1);
        rounds * (1 + row_trips(experts, self.span)) + columns * (1 + u64::from(self.rows))
    }

    /// The largest blocks whose sums are within the loop trips of an invocation.
    fn of(experts: u64, limits: &Limits) -> Self {
        let preferred = Self::span(experts, limits);
        let shape = |rows: u32| Self { rows, span: preferred.max(INVOCATIONS / rows) };
        let fits = |shape: &Self| shape.trips(experts) <= limits.loop_trips;
        [64, 32, 16].into_iter().map(shape).find(fits).unwrap_or(shape(8))
    }
}

/// A kernel with slots and consts.
struct Text {
    name: String,
    kernel: Source,
    slots: Vec<Source>,
    consts: Vec<(&'static str, u32)>,
    /// Whether it reads logits.
    rows: bool,
}

struct Planner<'a> {
    op: &'a RouterLoss,
    limits: &'a Limits,
    steps: Vec<Step>,
    scratch: Vec<Scratch>,
}

fn count(n: u64) -> Param {
    Param::U32(narrow(n))
}

impl Planner<'_> {
    fn experts(&self) -> u64 {
        self.op.experts as u64
    }

    fn tokens(&self) -> u64 {
        self.op.tokens as u64
    }

    /// Keeps a buffer of so many words.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] if it cannot be bound.
    fn keep(&mut self, name: &'static str, words: u64) -> Result<(), PlanError> {
        let (need, have) = (4 * words, self.limits.binding_bytes);
        if need > have {
            return Err(PlanError::TooLarge { operand: name.into(), need, have });
        }
        self.scratch.push(Scratch { name, bytes: need });
        Ok(())
    }

    /// Adds a step.
    ///
    /// # Errors
    /// [`PlanError::Limit`] if an invocation would make too many loop trips.
    fn push(
        &mut self,
        text: Text,
        binds: Vec<(&'static str, &'static str)>,
        dispatches: Vec<Dispatch>,
        trips: u64,
    ) -> Result<(), PlanError> {
        let have = self.limits.loop_trips;
        if trips > have {
            let limit = "loop trips per invocation";
            return Err(PlanError::Limit { kernel: text.name, limit, need: trips, have });
        }
        let dtype = self.op.dtype;
        let name = if text.rows { format!("{}.{dtype}", text.name) } else { text.name };
        self.steps.push(Step {
            slots: text.slots,
            consts: text.consts,
            aliases: if text.rows { vec![("Elem", wgsl_type(dtype))] } else { Vec::new() },
            f16: text.rows && dtype == Dtype::F16,
            binds,
            trips,
            ..Step::plain(name, text.kernel, dispatches)
        });
        Ok(())
    }

    fn mask(&self) -> (Source, &'static str) {
        match self.op.token_mask {
            false => (wgsl!("routing/losses/mask/all.wgsl"), ""),
            true => (wgsl!("routing/losses/mask/given.wgsl"), ".mask"),
        }
    }

    /// `loss_counts`: choices of each expert, and behind them the tokens that count.
    fn counts(&mut self) -> Result<(), PlanError> {
        let assignments = self.tokens() * self.op.top_k as u64;
        let lanes = u64::from(INVOCATIONS);
        let portion = assignments.div_ceil(MOST_PARTS).max(LEAST_PORTION).next_multiple_of(lanes);
        let (parts, bins) = (assignments.div_ceil(portion), self.experts() + 1);
        let to = if parts == 1 { "loss_counts" } else { "loss_count_parts" };
        self.keep("loss_counts", bins)?;
        let sizes = [
            ("experts", self.experts()),
            ("top_k", self.op.top_k as u64),
            ("assignments", assignments),
            ("portion", portion),
        ];
        let params: Vec<_> = sizes.into_iter().map(|(name, n)| (name, count(n))).collect();
        let work = ASSIGNMENT_WORK * portion.min(assignments) as f64 / f64::from(INVOCATIONS);
        let (mask, masked) = self.mask();
        let text = Text {
            name: format!("router_loss_counts{masked}"),
            kernel: wgsl!("routing/losses/counts.wgsl"),
            slots: vec![mask],
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            rows: false,
        };
        let trips = portion / lanes + 2 * bins.div_ceil(lanes);
        self.push(text, vec![("parts", to)], dispatches(parts * lanes, work, self.limits, &params), trips)?;
        if parts == 1 {
            return Ok(());
        }
        self.keep("loss_count_parts", parts * bins)?;
        let params = [("bins", count(bins)), ("part_count", count(parts))];
        let text = Text {
            name: "router_loss_count_sums".into(),
            kernel: wgsl!("routing/losses/count_sums.wgsl"),
            slots: Vec::new(),
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            rows: false,
        };
        let binds = vec![("parts", "loss_count_parts"), ("counts", "loss_counts")];
        self.push(text, binds, dispatches(bins, parts as f64, self.limits, &params), parts)
    }

    /// `loss_sums`: sums over all tokens of `width` numbers each, that a slot forms.
    fn sums(&mut self, (slot, name): (Source, &str), width: u64) -> Result<(), PlanError> {
        let shape = Shape::of(self.experts(), self.limits);
        let blocks = self.tokens().div_ceil(shape.rows.into());
        let params =
            [("tokens", count(self.tokens())), ("experts", count(self.experts())), ("nan", Param::U32(NAN_BITS))];
        let (mask, masked) = self.mask();
        let Shape { rows, span } = shape;
        let text = Text {
            name: format!("router_loss_{name}{masked}.rows{rows}.span{span}"),
            kernel: wgsl!("routing/losses/token_sums.wgsl"),
            slots: vec![wgsl!("routing/losses/row.wgsl"), slot, mask],
            consts: vec![("INVOCATIONS", INVOCATIONS), ("ROWS", rows), ("SPAN", span)],
            rows: true,
        };
        let work = LOGIT_WORK * f64::from(rows) * self.experts() as f64 / f64::from(INVOCATIONS);
        let invocations = blocks * u64::from(INVOCATIONS);
        let to = if blocks == 1 { "loss_sums" } else { "loss_parts" };
        let dispatches = dispatches(invocations, work, self.limits, &params);
        self.keep("loss_sums", width)?;
        self.push(text, vec![("sums", to)], dispatches, shape.trips(self.experts()))?;
        if blocks == 1 {
            return Ok(());
        }
        self.keep("loss_parts", blocks * width)?;
        let between = ["loss_parts_2", "loss_parts_3"];
        let mut left = blocks;
        for name in between {
            left = left.div_ceil(BLOCK.into());
            if left > 1 {
                self.keep(name, left * width)?;
            }
        }
        self.steps.extend(total(Segments::one(blocks), width, ("loss_parts", between), "loss_sums", self.limits));
        Ok(())
    }

    /// The experts' weights in the gradient, and the loss.
    fn weights(&mut self) -> Result<(), PlanError> {
        let Some(c) = self.op.congestion() else { return Ok(()) };
        let soft = c.load == Load::Soft;
        if soft || self.op.value {
            self.sums((wgsl!("routing/losses/sum/probabilities.wgsl"), "probabilities"), self.experts())?;
        }
        let (load, load_name) = match c.load {
            Load::Hard => (wgsl!("routing/losses/load/hard.wgsl"), "hard"),
            Load::Soft => (wgsl!("routing/losses/load/soft.wgsl"), "soft"),
        };
        let (cost, power) = match c.cost {
            CongestionCost::Linear => (wgsl!("routing/losses/cost/linear.wgsl"), "1"),
            CongestionCost::Quadratic => (wgsl!("routing/losses/cost/quadratic.wgsl"), "2"),
        };
        let probability = match soft || self.op.value {
            false => wgsl!("routing/losses/probability/none.wgsl"),
            true => wgsl!("routing/losses/probability/summed.wgsl"),
        };
        let (value, value_name) = match (self.op.value, self.op.has_prices()) {
            (false, _) => (wgsl!("routing/losses/value/none.wgsl"), ""),
            (_, false) => (wgsl!("routing/losses/value/loss.wgsl"), ".loss"),
            (_, true) => (wgsl!("routing/losses/value/loss_potential.wgsl"), ".loss_potential"),
        };
        let divisor = if soft { f64::from(c.cost.power() + 1) } else { 1.0 };
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
        let share = (1.0 / (self.op.experts as f64 * divisor)) as f32;
        let params = vec![
            ("experts", count(self.experts())),
            ("top_k", count(self.op.top_k as u64)),
            ("scale", Param::F32(self.op.coefficient * c.lambda)),
            ("lambda", Param::F32(c.lambda)),
            ("share", Param::F32(share)),
            ("nan", Param::U32(NAN_BITS)),
        ];
        let text = Text {
            name: format!("router_loss_weights.{load_name}{power}{value_name}"),
            kernel: wgsl!("routing/losses/weights.wgsl"),
            slots: vec![load, probability, cost, value],
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            rows: false,
        };
        let mut binds = vec![("counts", "loss_counts"), ("weights", self.weights_name())];
        binds.extend((soft || self.op.value).then_some(("sums", "loss_sums")));
        if !self.op.has_prices() {
            self.keep("loss_weights", self.experts())?;
        }
        let trips = self.experts().div_ceil(INVOCATIONS.into()) + u64::from(INVOCATIONS.ilog2());
        self.push(text, binds, vec![Dispatch { grid: [1, 1, 1], params, windows: Vec::new() }], trips)
    }

    /// Where the experts' weights are: they are the prices.
    fn weights_name(&self) -> &'static str {
        if self.op.has_prices() { "pressure" } else { "loss_weights" }
    }

    /// The z-loss.
    fn log_sums(&mut self) -> Result<(), PlanError> {
        if self.op.value || self.op.token_mask {
            self.sums((wgsl!("routing/losses/sum/log_sums.wgsl"), "log_sums"), 2)?;
        }
        if !self.op.value {
            return Ok(());
        }
        let text = Text {
            name: "router_loss_log_sum_value".into(),
            kernel: wgsl!("routing/losses/log_sum_value.wgsl"),
            slots: Vec::new(),
            consts: Vec::new(),
            rows: false,
        };
        let params = vec![("scale", Param::F32(self.op.coefficient)), ("nan", Param::U32(NAN_BITS))];
        let dispatch = Dispatch { grid: [1, 1, 1], params, windows: Vec::new() };
        self.push(text, vec![("sums", "loss_sums")], vec![dispatch], 0)
    }

    fn gradient(&mut self) -> Result<(), PlanError> {
        let (experts, is_z) = (self.experts(), self.op.kind == RouterLossKind::ZLoss);
        let trips = |span: u32| row_trips(experts, span) + experts.div_ceil(span.into());
        let preferred = Shape::span(experts, self.limits);
        let span = if trips(preferred) <= self.limits.loop_trips { preferred } else { INVOCATIONS };
        let (slope, slope_name) = match is_z {
            false => (wgsl!("routing/losses/slope/congested.wgsl"), "congested"),
            true => (wgsl!("routing/losses/slope/log_sum.wgsl"), "log_sum"),
        };
        let (number, number_name) = match (is_z, self.op.token_mask) {
            (false, _) => (wgsl!("routing/losses/number/counted.wgsl"), ""),
            (true, false) => (wgsl!("routing/losses/number/given.wgsl"), ".given"),
            (true, true) => (wgsl!("routing/losses/number/summed.wgsl"), ".summed"),
        };
        let (mask, masked) = self.mask();
        let text = Text {
            name: format!("router_loss_gradient.{slope_name}{masked}{number_name}.span{span}"),
            kernel: wgsl!("routing/losses/gradient.wgsl"),
            slots: vec![wgsl!("routing/losses/row.wgsl"), slope, mask, number],
            consts: vec![("INVOCATIONS", INVOCATIONS), ("SPAN", span)],
            rows: true,
        };
        let binds = match (is_z, self.op.token_mask) {
            (false, _) => vec![("weights", self.weights_name()), ("counts", "loss_counts")],
            (true, false) => Vec::new(),
            (true, true) => vec![("sums", "loss_sums")],
        };
        let params = [
            ("tokens", count(self.tokens())),
            ("experts", count(experts)),
            ("factor", Param::F32(if is_z { 2.0 * self.op.coefficient } else { 1.0 })),
            ("nan", Param::U32(NAN_BITS)),
        ];
        let work = LOGIT_WORK * experts as f64 / f64::from(span);
        let dispatches = dispatches(self.tokens() * u64::from(span), work, self.limits, &params);
        self.push(text, binds, dispatches, trips(span))
    }
}

impl Kernels for RouterLoss {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.tokens == 0 {
            plan.reasons.push("no tokens: nothing to run, all outputs are 0".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "logits, d_logits in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let mut planner = Planner { op: self, limits, steps: Vec::new(), scratch: Vec::new() };
        if self.kind == RouterLossKind::ZLoss {
            planner.log_sums()?;
        } else {
            planner.counts()?;
            planner.weights()?;
        }
        if self.gradient {
            planner.gradient()?;
        }
        (plan.steps, plan.scratch) = (planner.steps, planner.scratch);
        Ok(plan)
    }
}
