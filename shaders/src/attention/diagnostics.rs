//! The plan of attention's statistics: two sweeps by row, one by key, a row or key an invocation.

use gatefold_core::attention::Weight;
use gatefold_core::{Attention, AttentionStatistics, Op};

use super::layout::{Layout, Members, operand_bytes, row_count};
use super::split::{Parted, Work};
use super::{FLAT, Variant, check_features, custom, dressed, files, flat_step, masks, query_penalty, sink_key};
use crate::source::wgsl;
use crate::{Kernels, Limits, Plan, PlanError, Source, Step};

/// Words that a row and a key keep (`diagnostics/pair.wgsl`).
const ROW_WORDS: u64 = 6;
const KEY_WORDS: u64 = 3;
/// Multiply-adds that a pair costs beside its product.
const PAIR_WORK: u64 = 48;

/// A sweep of a row over keys, or of a key over queries.
struct Sweep {
    name: &'static str,
    kernel: Source,
    /// Rows or keys, and how many of the others one looks at.
    own: u64,
    stream: usize,
}

fn sweeps(a: &Attention) -> [Sweep; 3] {
    let d = &a.dims;
    let heads = d.batch as u64 * d.q_heads as u64;
    let seen = |all: usize| a.widest().and_then(|n| usize::try_from(n).ok()).map_or(all, |n| n.min(all));
    let (rows, keys) = (heads * d.seq_q as u64, heads * d.seq_kv as u64);
    let sweep = |name, kernel, own, stream| Sweep { name, kernel, own, stream: seen(stream) };
    [
        sweep("attention_statistics_level", wgsl!("attention/diagnostics/level.wgsl"), rows, d.seq_kv),
        sweep("attention_statistics_row", wgsl!("attention/diagnostics/row.wgsl"), rows, d.seq_kv),
        sweep("attention_statistics_key", wgsl!("attention/diagnostics/key.wgsl"), keys, d.seq_q),
    ]
}

fn step(op: &AttentionStatistics, sweep: Sweep, members: &Members, limits: &Limits) -> Result<Step, PlanError> {
    let a = &op.forward;
    let whole = |operand| Parted::whole(operand, operand_bytes(op, operand));
    let quads = a.dims.head_dim.div_ceil(4) as u64;
    let work = Work {
        parted: ["q", "k", "score_bias", "importance", "entropy", "top_mass"].map(whole).into(),
        stream_step: 1,
        step_trips: 1 + quads,
        step_work: f64::from(FLAT) * (4 * quads + PAIR_WORK) as f64,
        ..Work::flat(sweep.name, sweep.own.div_ceil(FLAT.into()), sweep.stream as u64)
    };
    let split = work.split(members, limits)?;
    let mut variant = Variant::new(sweep.name, a);
    variant.slots.extend([files::SCORE, wgsl!("attention/diagnostics/pair.wgsl"), files::QUERY_ROWS]);
    variant.slots.extend([wgsl!("attention/finite/exact.wgsl"), files::LOAD_SCALAR, files::KEYS_SCALAR]);
    variant.slots.extend(match a.weight {
        Weight::Softmax => vec![wgsl!("attention/diagnostics/softmax.wgsl")],
        _ => files::phi(a).into_iter().chain([wgsl!("attention/diagnostics/elementwise.wgsl")]).collect(),
    });
    variant.slots(files::softcap(a));
    variant.slots(custom::score_mod(a));
    variant.slots(masks::mask_mod(a));
    variant.slot(files::bias(a));
    variant.slot(files::keys(a));
    variant.slot(files::mask(a));
    let name = format!("{}.{}", variant.name, a.dtype);
    let mut step = flat_step(name, (sweep.kernel, variant.slots), Some(a.dtype), split);
    step.consts.extend(a.weight.degree().map(|n| ("DEGREE", n)));
    Ok(step)
}

impl Kernels for AttentionStatistics {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let a = &self.forward;
        check_features(a, limits)?;
        if !a.is_core() {
            return dressed::forward(&self.looked_at(), &self.core(), limits);
        }
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if a.dims.batch == 0 || a.dims.seq_q == 0 || a.dims.seq_kv == 0 {
            plan.reasons.push("no pairs: every statistic is 0, nothing to run".into());
            return Ok(plan);
        }
        let mut layout = Layout::new(&self.operands());
        layout.reserve("state_at", row_count(a) * ROW_WORDS);
        let keys: u64 = self.key_dims().iter().map(|&n| n as u64).product();
        layout.reserve("key_sums_at", keys * KEY_WORDS);
        query_penalty::reserve(a, &mut layout);
        sink_key::reserve(a, &mut layout);
        let members = Members::new(a, &layout);
        plan.steps.extend(query_penalty::forward(a, self, &layout, limits)?);
        plan.steps.extend(sink_key::forward(a, self, &layout, limits)?);
        for sweep in sweeps(a) {
            plan.steps.push(step(self, sweep, &members, limits)?);
        }
        let (side, packed) = layout.finish(limits)?;
        plan.scratch.push(side);
        plan.packed = packed;
        Ok(plan)
    }
}
