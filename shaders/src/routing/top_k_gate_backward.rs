//! The plan of the gate's gradient: one step over tokens, then sums over tokens a block at a time.

use gatefold_core::routing::GateWeight;
use gatefold_core::{Op, TopKGateBackward};

use super::top_k_gate::{Job, SIDE, Seats, Side};
use super::top_k_gate_files::{Files, Needs, gate, shared};
use crate::plan::{NAN_BITS, narrow};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Kernels, Limits, Param, Plan, PlanError, Scratch, Step};

/// Name of the scratch with what is summed over tokens.
const TERMS: &str = "terms";
/// Scratch of the sums of blocks, in turns.
const BETWEEN: [&str; 2] = ["block_sums", "block_sums_again"];
/// Rows that an invocation sums.
const ROWS: u64 = 64;

fn files(op: &TopKGateBackward) -> Files {
    let f = &op.forward;
    let by_score = f.weight == GateWeight::Score && !f.weighs_by_selected_softmax();
    let mut files = shared(f, Needs { scores: op.d_scores || by_score, lse: op.d_lse });
    files.add_if(op.d_scores, (gate!("d_scores/given"), "d_scores"), gate!("d_scores/none"));
    files.add_if(op.d_lse, (gate!("d_lse/given"), "d_lse"), gate!("d_lse/none"));
    files.add_if(f.logit_bias, (gate!("bias_terms/stored"), ""), gate!("bias_terms/none"));
    files.add_if(f.temperature, (gate!("heat/stored"), ""), gate!("heat/none"));
    files.slots.extend((f.logit_bias | f.temperature).then_some(gate!("terms")));
    files.slots.extend((f.logit_bias | f.temperature | f.token_mask).then_some(gate!("side")));
    files
}

/// Loop trips of an invocation.
fn trips(op: &TopKGateBackward, seats: &Seats) -> u64 {
    let f = &op.forward;
    5 * seats.share(f.experts) + 5 * u64::from(seats.lanes) + 2 * seats.share(f.top_k) + 3 * f.top_k as u64
}

/// Columns of a matrix: so many from `first` on, of rows of `stride`.
struct Columns {
    source: &'static str,
    rows: u64,
    count: u64,
    first: u64,
    stride: u64,
}

impl Columns {
    /// Blocks of rows; one if there are no rows.
    fn blocks(&self) -> u64 {
        self.rows.div_ceil(ROWS).max(1)
    }

    fn step(&self, to: &'static str, limits: &Limits) -> Step {
        let sizes = [
            ("rows", self.rows),
            ("columns", self.count),
            ("first_column", self.first),
            ("stride", self.stride),
            ("nan", NAN_BITS.into()),
        ];
        let params = sizes.map(|(name, n)| (name, Param::U32(narrow(n))));
        Step {
            consts: vec![("INVOCATIONS", INVOCATIONS), ("ROWS", narrow(ROWS))],
            binds: vec![("terms", self.source), ("sums", to)],
            trips: ROWS,
            ..Step::plain(
                "top_k_gate_sums",
                wgsl!("routing/top_k_gate_sums.wgsl"),
                dispatches(self.blocks() * self.count, ROWS as f64, limits, &params),
            )
        }
    }

    /// The steps that sum the columns over all rows. Words of the scratch that they need: the first leaves the most.
    fn total(mut self, output: &'static str, limits: &Limits) -> (Vec<Step>, u64) {
        let (mut steps, words) = (Vec::new(), self.blocks() * self.count);
        while self.blocks() > 1 {
            let to = BETWEEN[steps.len() % 2];
            steps.push(self.step(to, limits));
            self = Self { source: to, rows: self.blocks(), first: 0, stride: self.count, ..self };
        }
        steps.push(self.step(output, limits));
        let between = if steps.len() > 1 { words } else { 0 };
        (steps, between)
    }
}

/// The sums over tokens, and their scratch.
fn sums(op: &TopKGateBackward, plan: &mut Plan, [stride, heat_at]: [usize; 2], limits: &Limits) {
    let f = &op.forward;
    // without tokens nobody writes terms, and none is read: any buffer will do
    let source = if f.tokens == 0 { SIDE } else { TERMS };
    let columns = |first: usize, count: usize| Columns {
        source,
        rows: f.tokens as u64,
        count: count as u64,
        first: first as u64,
        stride: stride as u64,
    };
    let bias = f.logit_bias.then(|| columns(0, f.experts).total("d_logit_bias", limits));
    let heat = f.temperature.then(|| columns(heat_at, 1).total("d_temperature", limits));
    let mut words = [0; 2];
    for (steps, most) in [bias, heat].into_iter().flatten() {
        words[0] = most.max(words[0]);
        if steps.len() > 2 {
            words[1] = most.max(words[1]);
        }
        plan.steps.extend(steps);
    }
    let between = BETWEEN.into_iter().zip(words).filter(|(_, words)| *words > 0);
    plan.scratch.extend(between.map(|(name, words)| Scratch { name, bytes: 4 * words }));
}

impl Kernels for TopKGateBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let f = &self.forward;
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        let operands = self.operands();
        check_bindings(&operands, limits)?;
        let side = Side::of(&operands);
        let bias = if f.logit_bias { f.experts } else { 0 };
        let terms = [bias + usize::from(f.temperature), bias];
        if f.tokens == 0 {
            plan.reasons.push("no tokens: sums of nothing".into());
        } else {
            let seats = Seats::new(f, limits);
            let job = Job { op: f, seats, side: &side, limits, terms };
            let kernel = ("top_k_gate_backward", wgsl!("routing/top_k_gate_backward.wgsl"), 4);
            plan.reasons.push(format!("{} lanes a token, {} tokens a workgroup", seats.lanes, seats.tokens));
            plan.steps.push(job.step(kernel, files(self), trips(self, &seats))?);
            let bytes = 4 * (f.tokens * terms[0]) as u64;
            if bytes > limits.binding_bytes {
                return Err(PlanError::TooLarge { operand: TERMS.into(), need: bytes, have: limits.binding_bytes });
            }
            plan.scratch.extend((bytes > 0).then_some(Scratch { name: TERMS, bytes }));
        }
        sums(self, &mut plan, terms, limits);
        if !plan.steps.is_empty() {
            side.finish(&mut plan, limits)?;
        }
        Ok(plan)
    }
}
