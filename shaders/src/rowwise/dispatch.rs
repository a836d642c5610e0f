//! Dispatches of a row kernel: cut by binding size, by workgroup count and by time. A row is never cut between two dispatches.

use std::ops::Range;

use gatefold_core::Operand;

use super::Job;
use super::files::Kernel;
use crate::plan::{MINUS_INFINITY_BITS, NAN_BITS, check_dispatches, narrow};
use crate::{Dispatch, Param, PlanError, Window, fold_groups};

/// How a kernel cuts its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) kernel: Kernel,
    /// Invocations per workgroup.
    pub(super) lanes: u32,
    /// Segments of a row.
    pub(super) segments: u64,
    /// Segments of a row that the kernel writes: 1 if a row has one output.
    pub(super) written: u64,
    /// Columns of a segment.
    pub(super) segment_cols: u64,
}

impl Shape {
    fn groups(&self, rows: u64) -> u64 {
        match self.kernel {
            Kernel::RowPerInvocation => rows.div_ceil(u64::from(self.lanes)),
            Kernel::RowPerWorkgroup => rows,
            Kernel::SplitReduce => rows * self.segments,
            Kernel::SplitWrite => rows * self.written,
        }
    }
}

/// Multiply-adds that an element costs, the exponential included.
const ELEMENT_WORK: f64 = 8.0;

/// Dispatches of a kernel over all rows.
///
/// # Errors
/// [`PlanError::TooLarge`] if a binding cannot hold a row.
pub(super) fn dispatches(job: &Job<'_>, shape: &Shape) -> Result<Vec<Dispatch>, PlanError> {
    let rows = job.forward.rows as u64;
    job.limits.check_time("rowwise", ELEMENT_WORK * job.forward.cols as f64)?;
    let most = rows_per_dispatch(job, shape);
    let bounds = bound_rows(job)?;
    check_dispatches((bounds.len() as u64).saturating_add(rows / most))?;
    let mut all = Vec::new();
    for bound in bounds {
        let windows = if bound.end - bound.start == rows { Vec::new() } else { windows(job, &bound) };
        let mut first = bound.start;
        while first < bound.end {
            let end = (first + most).min(bound.end);
            all.push(dispatch(job, shape, first..end, &windows));
            first = end;
        }
    }
    Ok(all)
}

fn dispatch(job: &Job<'_>, shape: &Shape, rows: Range<u64>, windows: &[Window]) -> Dispatch {
    let groups = shape.groups(rows.end - rows.start);
    // Windows of operands of one kind start at the same element: they have the same shape and type.
    let shift = |wide: bool| {
        let window = windows.iter().find(|w| job.is_wide(w.operand) == wide);
        let size = if wide { job.forward.dtype.size() as u64 } else { 4 };
        window.map_or(0, |w| narrow(w.offset / size).wrapping_neg())
    };
    let count = |n: u64| Param::U32(narrow(n));
    let params = vec![
        ("cols", count(job.forward.cols as u64)),
        ("first_row", count(rows.start)),
        ("end_row", count(rows.end)),
        ("group_count", count(groups)),
        ("segments", count(shape.segments)),
        ("written", count(shape.written)),
        ("segment_cols", count(shape.segment_cols)),
        ("scale", Param::F32(job.forward.scale)),
        ("half_scale", Param::F32(0.5 * job.forward.scale)),
        ("wide_shift", Param::U32(shift(true))),
        ("narrow_shift", Param::U32(shift(false))),
        ("nan", Param::U32(NAN_BITS)),
        ("minus_infinity", Param::U32(MINUS_INFINITY_BITS)),
    ];
    Dispatch { grid: fold_groups(groups, job.limits.groups_per_dim), params, windows: windows.to_vec() }
}

/// Rows that one dispatch may take: by time, and by workgroups in x and y.
fn rows_per_dispatch(job: &Job<'_>, shape: &Shape) -> u64 {
    let by_time = job.limits.units_in_time(ELEMENT_WORK * job.forward.cols as f64);
    let most_groups = u64::from(job.limits.groups_per_dim).pow(2);
    let by_groups = match shape.kernel {
        Kernel::RowPerInvocation => most_groups.saturating_mul(u64::from(shape.lanes)),
        _ => most_groups / shape.groups(1).max(1),
    };
    by_time.min(by_groups).max(1)
}

/// Bytes that one row has in an operand.
fn row_bytes(job: &Job<'_>, operand: &Operand) -> u64 {
    operand.bytes() / (job.forward.rows as u64).max(1)
}

/// Ranges of rows whose parts of every operand fit a binding.
fn bound_rows(job: &Job<'_>) -> Result<Vec<Range<u64>>, PlanError> {
    let rows = job.forward.rows as u64;
    let mut most = rows;
    for o in job.operands.iter().filter(|o| o.bytes().next_multiple_of(4) > job.limits.binding_bytes) {
        // A window starts at an aligned byte, up to one alignment before the row, and ends at a multiple of 4.
        let room = job.limits.binding_bytes.saturating_sub(job.limits.offset_alignment + 4);
        let row = row_bytes(job, o);
        if row > room {
            let need = row + job.limits.offset_alignment + 4;
            return Err(PlanError::TooLarge { operand: o.name.into(), need, have: job.limits.binding_bytes });
        }
        most = most.min(room / row);
    }
    let most = most.max(1);
    check_dispatches(rows.div_ceil(most))?;
    Ok((0..rows.div_ceil(most)).map(|c| c * most..((c + 1) * most).min(rows)).collect())
}

fn windows(job: &Job<'_>, rows: &Range<u64>) -> Vec<Window> {
    let alignment = job.limits.offset_alignment;
    let window = |o: &Operand| {
        let row = row_bytes(job, o);
        let offset = rows.start * row / alignment * alignment;
        let end = (rows.end * row).next_multiple_of(4);
        Window { operand: o.name, offset, bytes: end - offset }
    };
    job.operands.iter().map(window).collect()
}
