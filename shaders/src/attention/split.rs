//! Dispatches: cut by binding size, by workgroup count, by loop trips and by time.

use std::ops::Range;

use gatefold_core::Attention;

use super::FLAT;
use super::layout::{Layout, Members};
use super::tiles::Tile;
use crate::plan::{check_dispatches, narrow};
use crate::{Dispatch, Limits, PlanError, Window, fold_groups};

/// An operand that is laid out in equal parts, one per unit of a step (a batch entry and head, say).
#[derive(Debug, Clone)]
pub(super) struct Parted {
    pub(super) operand: &'static str,
    /// The member of `params` that takes the shift.
    pub(super) shift: &'static str,
    /// Bytes of the whole operand.
    pub(super) bytes: u64,
    /// Bytes of a unit's part; 0 if all units share the whole.
    pub(super) unit_bytes: u64,
    /// Bytes of an element.
    pub(super) element: u64,
}

impl Parted {
    /// An operand that every unit binds whole.
    pub(super) const fn whole(operand: &'static str, bytes: u64) -> Self {
        Self { operand, shift: "", bytes, unit_bytes: 0, element: 4 }
    }

    /// An operand of so many elements a row, of a kernel that takes a row an invocation.
    pub(super) const fn rows(operand: &'static str, shift: &'static str, bytes: u64, width: u64, element: u64) -> Self {
        Self { operand, shift, bytes, unit_bytes: FLAT as u64 * width * element, element }
    }
}

/// What there is to dispatch.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// Kernel, for errors.
    pub(super) kernel: &'static str,
    /// Units; every unit has `groups_per_unit` workgroups.
    pub(super) units: u64,
    pub(super) groups_per_unit: u64,
    /// Whether the units' parts may be bound one after another.
    pub(super) divisible: bool,
    pub(super) parted: Vec<Parted>,
    /// Stream positions, in steps of `stream_step`, each step costing `step_trips` loop trips and `step_work` multiply-adds a workgroup.
    pub(super) stream: u64,
    pub(super) stream_step: u64,
    /// Most stream positions that one workgroup visits, wherever they lie; a window leaves it a few.
    pub(super) visited: u64,
    pub(super) step_trips: u64,
    pub(super) step_work: f64,
    /// Loop trips outside the stream loop.
    pub(super) fixed_trips: u64,
}

/// The dispatches of a step.
pub(super) struct Split {
    pub(super) dispatches: Vec<Dispatch>,
    /// How many dispatches a workgroup's stream is cut into.
    pub(super) passes: usize,
    /// Most loop trips of an invocation of one dispatch.
    pub(super) trips: u64,
}

impl Work {
    /// Work of a kernel with one row an invocation, or one workgroup over a stream.
    pub(super) fn flat(kernel: &'static str, units: u64, stream: u64) -> Self {
        Self {
            kernel,
            units,
            groups_per_unit: 1,
            divisible: false,
            parted: Vec::new(),
            stream,
            stream_step: stream.max(1),
            visited: u64::MAX,
            step_trips: 1,
            step_work: f64::from(FLAT),
            fixed_trips: 0,
        }
    }

    /// Cuts the work of a tile kernel whose invocations leave `state` words for each other between two dispatches, and says what it then needs of
    /// `side`. Kernels run one after another, so they may use the same words; each step's params name its own place.
    ///
    /// # Errors
    /// As [`Work::split`].
    pub(super) fn split_waiting(
        &self,
        a: &Attention,
        (layout, state): (&Layout, u32),
        tile: &Tile,
        limits: &Limits,
    ) -> Result<(Split, Layout), PlanError> {
        let mut layout = layout.clone();
        let split = self.split(&Members::new(a, &layout), limits)?;
        if split.passes == 1 {
            return Ok((split, layout));
        }
        let invocations = self.units * self.groups_per_unit * u64::from(tile.invocations());
        layout.reserve("state_at", invocations * u64::from(state));
        Ok((self.split(&Members::new(a, &layout), limits)?, layout))
    }

    /// Cuts the work. `members` are the params of the plan.
    ///
    /// # Errors
    /// [`PlanError`] if a single unit, or a single step of the stream, is too much.
    pub(super) fn split(&self, members: &Members, limits: &Limits) -> Result<Split, PlanError> {
        let spans = self.spans(limits)?;
        let span = spans.first().map_or(0, |s| s.end - s.start);
        let span_steps = span.min(self.visited).div_ceil(self.stream_step.max(1));
        let work = self.step_work * span_steps as f64;
        limits.check_time(self.kernel, work)?;
        let most_groups = limits.units_in_time(work).min(u64::from(limits.groups_per_dim).pow(2));
        let ranges = self.unit_ranges(limits)?;
        let chunks =
            (ranges.len() as u64).saturating_add(self.units.saturating_mul(self.groups_per_unit) / most_groups);
        check_dispatches(chunks.saturating_mul(spans.len() as u64))?;
        let mut dispatches = Vec::new();
        for units in ranges {
            let (windows, shifts) = self.windows(&units, limits);
            let mut first = units.start * self.groups_per_unit;
            let end = units.end * self.groups_per_unit;
            while first < end {
                let count = most_groups.min(end - first);
                for span in &spans {
                    let mut m = members.clone();
                    m.set("first_group", narrow(first));
                    m.set("group_count", narrow(count));
                    m.set("stream_from", narrow(span.start));
                    m.set("stream_to", narrow(span.end));
                    shifts.iter().for_each(|&(member, value)| m.set(member, value));
                    let grid = fold_groups(count, limits.groups_per_dim);
                    dispatches.push(Dispatch { grid, params: m.into_params(), windows: windows.clone() });
                }
                first += count;
            }
        }
        let trips = self.fixed_trips + span_steps * self.step_trips;
        Ok(Split { dispatches, passes: spans.len(), trips })
    }

    /// Most stream positions, in whole steps, within the loop trips and the time of a dispatch.
    pub(super) fn most_stream(&self, limits: &Limits) -> u64 {
        let by_trips = limits.loop_trips.saturating_sub(self.fixed_trips) / self.step_trips.max(1);
        let steps = by_trips.min(limits.units_in_time(self.step_work.max(1.0))).max(1);
        steps * self.stream_step
    }

    /// Stream ranges, one per pass.
    fn spans(&self, limits: &Limits) -> Result<Vec<Range<u64>>, PlanError> {
        let have = limits.loop_trips.saturating_sub(self.fixed_trips);
        if self.stream > 0 && self.step_trips > have {
            let need = self.fixed_trips + self.step_trips;
            let limit = "loop trips per invocation";
            return Err(PlanError::Limit { kernel: self.kernel.into(), limit, need, have: limits.loop_trips });
        }
        let span = self.most_stream(limits);
        let passes = if self.visited <= span { 1 } else { self.stream.div_ceil(span).max(1) };
        let span = if passes == 1 { self.stream } else { span };
        check_dispatches(passes)?;
        Ok((0..passes).map(|p| p * span..(p * span + span).min(self.stream)).collect())
    }

    /// Ranges of units whose parts fit a binding.
    fn unit_ranges(&self, limits: &Limits) -> Result<Vec<Range<u64>>, PlanError> {
        let mut most = self.units;
        for p in self.parted.iter().filter(|p| p.bytes > limits.binding_bytes) {
            let too_large = |need| PlanError::TooLarge { operand: p.operand.into(), need, have: limits.binding_bytes };
            if !self.divisible || p.unit_bytes == 0 {
                return Err(too_large(p.bytes));
            }
            // A window starts at an aligned byte, up to one alignment before the part.
            let room = limits.binding_bytes.saturating_sub(limits.offset_alignment);
            if p.unit_bytes > room {
                return Err(too_large(p.unit_bytes + limits.offset_alignment));
            }
            most = most.min(room / p.unit_bytes);
        }
        let most = most.max(1);
        check_dispatches(self.units.div_ceil(most))?;
        Ok((0..self.units.div_ceil(most)).map(|c| c * most..((c + 1) * most).min(self.units)).collect())
    }

    /// Windows and shifts of a range of units; none if every operand is bound whole.
    fn windows(&self, units: &Range<u64>, limits: &Limits) -> (Vec<Window>, Vec<(&'static str, u32)>) {
        if units.end - units.start == self.units {
            return (Vec::new(), Vec::new());
        }
        let mut windows = Vec::new();
        let mut shifts = Vec::new();
        for p in self.parted.iter().filter(|p| p.unit_bytes > 0) {
            let offset = units.start * p.unit_bytes / limits.offset_alignment * limits.offset_alignment;
            let end = (units.end * p.unit_bytes).next_multiple_of(4).min(p.bytes.next_multiple_of(4));
            windows.push(Window { operand: p.operand, offset, bytes: end - offset });
            shifts.push((p.shift, narrow(offset / p.element).wrapping_neg()));
        }
        (windows, shifts)
    }
}
