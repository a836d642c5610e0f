//! Sums of rows, a block at a time, in a fixed order: for the gradients of gains, and for sums over ranges of rows.

use gatefold_core::Dtype;

use super::flat_step;
use super::split::Split;
use crate::plan::{NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::dispatches;
use crate::{Limits, Param, Step};

/// Rows that an invocation sums where all are summed.
pub(crate) const BLOCK: u32 = 64;

/// Rows that are summed in blocks: `count` segments of `length` rows each.
pub(crate) struct Segments {
    pub(crate) count: u64,
    pub(crate) length: u64,
    /// Rows in memory from a segment to the next, and from a row to the next.
    pub(crate) steps: [u64; 2],
}

impl Segments {
    /// One segment of rows that lie one after another.
    pub(crate) const fn one(length: u64) -> Self {
        Self { count: 1, length, steps: [length, 1] }
    }

    /// Blocks of this many rows in a segment.
    pub(super) const fn blocks(&self, rows: u32) -> u64 {
        self.length.div_ceil(rows as u64)
    }

    /// The blocks of these as rows of their own.
    pub(super) const fn blocked(&self, rows: u32) -> Self {
        let blocks = self.blocks(rows);
        Self { count: self.count, length: blocks, steps: [blocks, 1] }
    }
}

/// The step that sums blocks of `rows` rows of `width` elements, read from one operand and written to another in f32. A segment without rows has
/// one block.
pub(super) fn block_sums(
    of: &Segments,
    (rows, width): (u32, u64),
    (from, dtype): (&'static str, Dtype),
    to: &'static str,
    limits: &Limits,
) -> Step {
    let blocks = of.blocks(rows).max(1);
    let sizes = [
        ("length", of.length),
        ("blocks", blocks),
        ("width", width),
        ("segment_step", of.steps[0]),
        ("row_step", of.steps[1]),
    ];
    let mut params: Vec<_> = sizes.into_iter().map(|(name, n)| (name, Param::U32(narrow(n)))).collect();
    params.push(("nan", Param::U32(NAN_BITS)));
    let dispatches = dispatches(of.count * blocks * width, rows.into(), limits, &params);
    let split = Split { dispatches, passes: 1, trips: rows.into() };
    let kernel = (wgsl!("attention/block_sums.wgsl"), Vec::new());
    let mut step = flat_step(format!("attention_block_sums.{dtype}.rows{rows}"), kernel, Some(dtype), split);
    step.consts.push(("ROWS", rows));
    Step { aliases: vec![("Term", wgsl_type(dtype))], binds: vec![("terms", from), ("sums", to)], ..step }
}

/// The steps that sum the rows of each segment, a block at a time, until one is left: terms in f32, then sums between steps, in turns.
pub(crate) fn total(
    mut rows: Segments,
    width: u64,
    (terms, between): (&'static str, [&'static str; 2]),
    output: &'static str,
    limits: &Limits,
) -> Vec<Step> {
    let (mut steps, mut source) = (Vec::new(), terms);
    loop {
        let is_last = rows.blocks(BLOCK) <= 1;
        let to = if is_last { output } else { between[steps.len() % 2] };
        steps.push(block_sums(&rows, (BLOCK, width), (source, Dtype::F32), to, limits));
        if is_last {
            return steps;
        }
        (rows, source) = (rows.blocked(BLOCK), to);
    }
}
