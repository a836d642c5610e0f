//! A sink key: a logit per row that row and mass read as they read one per head, and its gradients.

use gatefold_core::{Attention, Dtype, Op};

use super::block_sums::{BLOCK, Segments, total};
use super::layout::{Layout, Members, operand_bytes, row_count};
use super::query_penalty::by_row;
use super::row_map::sized;
use super::split::Work;
use super::{FLAT, Parts, files, flat_step, heads_contiguous};
use crate::source::wgsl;
use crate::{Limits, PlanError, Scratch, Step};

/// Sums of blocks of rows, and sums of those.
const SUMS: [&str; 2] = ["sink_key_sums", "sink_key_sums_2"];

/// Reserves a word per row.
pub(super) fn reserve(a: &Attention, layout: &mut Layout) {
    if a.sink_key {
        layout.reserve("sink_at", row_count(a));
    }
}

/// The step that forms the logits, if there is a key.
pub(super) fn forward<O: Op>(
    a: &Attention,
    op: &O,
    layout: &Layout,
    limits: &Limits,
) -> Result<Option<Step>, PlanError> {
    let (softcap, part) = files::softcap(a);
    let kernel = (format!("attention_sink_key{part}"), wgsl!("attention/sink_key.wgsl"));
    a.sink_key.then(|| by_row(a, op, kernel, &["q"], softcap, (layout, limits))).transpose()
}

/// The steps after the gradient of the queries that add the key's share to it and sum that of the key, and their scratch.
pub(super) fn backward<O: Op>(
    a: &Attention,
    op: &O,
    layout: &Layout,
    limits: &Limits,
) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
    if !a.sink_key {
        return Ok((Vec::new(), Vec::new()));
    }
    let (softcap, part) = files::softcap(a);
    let kernel = (format!("attention_sink_key_backward{part}"), wgsl!("attention/sink_key_backward.wgsl"));
    let mut steps = vec![by_row(a, op, kernel, &["d_q"], softcap, (layout, limits))?];
    let d = &a.dims;
    let (width, blocks) = (d.head_dim as u64, (d.seq_q as u64).div_ceil(BLOCK.into()));
    steps.push(sums(a, op, blocks, layout, limits)?);
    let length = (d.group() * d.batch) as u64 * blocks;
    let rows = Segments { count: d.kv_heads as u64, length, steps: [length, 1] };
    let levels = [length, rows.blocks(BLOCK)].into_iter().enumerate().filter(|&(n, rows)| n == 0 || rows > 1);
    let scratch = levels.map(|(n, rows)| sized(SUMS[n], rows * d.kv_heads as u64 * width * 4)).collect();
    steps.extend(total(rows, width, (SUMS[0], [SUMS[1], SUMS[0]]), "d_sink_key", limits));
    Ok((steps, scratch))
}

/// The step that sums blocks of the rows of each head.
fn sums<O: Op>(a: &Attention, op: &O, blocks: u64, layout: &Layout, limits: &Limits) -> Result<Step, PlanError> {
    let d = &a.dims;
    let parts = Parts { a, q_heads: 1 };
    let work = Work {
        groups_per_unit: (blocks * d.head_dim as u64).div_ceil(FLAT.into()),
        divisible: heads_contiguous(a),
        parted: vec![parts.query("q", "q_shift", d.head_dim, a.dtype, operand_bytes(op, "q"))],
        step_trips: BLOCK.into(),
        step_work: f64::from(FLAT * BLOCK),
        ..Work::flat("attention_sink_key_sums", (d.batch * d.q_heads) as u64, 1)
    };
    let split = work.split(&Members::new(a, layout), limits)?;
    let kernel = (wgsl!("attention/sink_key_sums.wgsl"), vec![files::SHAPE]);
    let mut step = flat_step(format!("attention_sink_key_sums.{}", a.dtype), kernel, Some(a.dtype), split);
    step.consts.push(("ROWS", BLOCK));
    Ok(step)
}

/// Whether rows of gradients are stored twice in f16.
pub(super) fn rounds(a: &Attention) -> bool {
    a.sink_key && a.dtype == Dtype::F16
}
