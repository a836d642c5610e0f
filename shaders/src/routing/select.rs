//! The largest keys of rows, in descending order, equal ones by column: what a top-k and an expert's choice of tokens share.
//!
//! Rows that a workgroup's memory holds are sorted there whole, several a workgroup if they are short. Of longer rows, the count-th largest key is
//! found first, 8 bits a pass (a radix select: histograms of tiles, then the digit), and what is not below it is taken, in the order of columns, by
//! scans; only that is sorted: in a workgroup's memory if it fits, else by exchanges between steps for the strides that do not.

use crate::plan::{narrow, starts};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, dispatches};
use crate::{DeviceKind, Dispatch, Limits, Param, PlanError, Scratch, Source, Step, fold_groups};

/// Most pairs of a key and a column that a workgroup sorts: WebGPU's 16 KiB.
const MOST_SORTED: u64 = 2_048;
/// Fewest pairs that a workgroup is started for: shorter rows share one.
const LEAST_SORTED: u64 = 256;
/// Bytes of a pair.
const PAIR_BYTES: u64 = 8;
/// Values of a digit.
const VALUES: u64 = 256;
/// Columns of an invocation in a tile, at least, and tiles of a row, at most.
const LEAST_RUN: u64 = 64;
const MOST_TILES: u64 = 256;
/// Multiply-adds that a key costs in a pass over it, and a pair in an exchange.
const KEY_WORK: f64 = 8.0;
const PAIR_WORK: f64 = 16.0;

/// Scratch: the digits of a row's threshold, the histograms and the counts of its tiles, and what was taken.
const STATE: &str = "select_state";
const HISTOGRAMS: &str = "select_histograms";
const COUNTS: &str = "select_counts";
const WINNERS: &str = "select_winners";

/// Rows of keys, of which the largest are wanted.
pub(super) struct Choice<'a> {
    /// Stem of the op: `top_k`.
    pub(super) stem: &'static str,
    /// What kernels differ in by `key` and `sink`: the end of variants' names.
    pub(super) variant: String,
    pub(super) rows: u64,
    pub(super) cols: u64,
    /// How many are wanted of each row, 1 to `cols`.
    pub(super) count: u64,
    /// Bits of a key, a multiple of 8.
    pub(super) key_bits: u32,
    /// Files that define `key_at(row, col)`.
    pub(super) key: Vec<Source>,
    /// Files, beside those of `key`, that define `store_pair(row, place, pair)`.
    pub(super) sink: Vec<Source>,
    /// Whether the sink reads what the key's files define.
    pub(super) sink_needs_key: bool,
    pub(super) consts: Vec<(&'static str, u32)>,
    /// Globals of these files that bind an operand of another name.
    pub(super) binds: Vec<(&'static str, &'static str)>,
    pub(super) f16: bool,
    pub(super) limits: &'a Limits,
}

/// What a choice adds to a plan.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) steps: Vec<Step>,
    pub(super) scratch: Vec<Scratch>,
    pub(super) reason: String,
}

fn u32s<const N: usize>(members: [(&'static str, u64); N]) -> Vec<(&'static str, Param)> {
    members.into_iter().map(|(name, n)| (name, Param::U32(narrow(n)))).collect()
}

impl Choice<'_> {
    /// The steps.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] if a scratch is larger than a binding, [`PlanError::Limit`] if a loop is longer than the adapter allows.
    pub(super) fn chosen(&self) -> Result<Chosen, PlanError> {
        let most = self.most_sorted();
        let mut made = Chosen::default();
        let size = self.cols.next_power_of_two();
        if size <= most {
            made.reason = format!("rows of {} keys are sorted in a workgroup's memory, {most} pairs", self.cols);
            let source: Vec<_> =
                std::iter::once(wgsl!("routing/select/source/keys.wgsl")).chain(self.key.clone()).collect();
            made.steps.push(self.sort(("whole", source), self.sink.clone(), (self.cols, size), (2, size)));
        } else {
            self.select(&mut made);
            self.sort_winners(most, &mut made);
        }
        self.check(&made)?;
        Ok(made)
    }

    /// Pairs that a workgroup's memory holds, a power of two.
    fn most_sorted(&self) -> u64 {
        let held = (u64::from(self.limits.workgroup_memory) / PAIR_BYTES).clamp(2, MOST_SORTED);
        1 << held.ilog2()
    }

    fn check(&self, made: &Chosen) -> Result<(), PlanError> {
        super::check_scratch(&made.scratch, self.limits)?;
        // places of rows are counted in 32 bits
        let places = self.rows.saturating_mul(self.cols.next_power_of_two());
        if places + MOST_SORTED > u64::from(u32::MAX) {
            let (need, have) = (places, u64::from(u32::MAX));
            return Err(PlanError::Limit { kernel: self.stem.into(), limit: "places of all rows", need, have });
        }
        Ok(())
    }

    /// Steps that take the largest of every row, in the order of columns, into [`WINNERS`].
    fn select(&self, made: &mut Chosen) {
        let lanes = u64::from(INVOCATIONS);
        let run = self.cols.div_ceil(lanes * MOST_TILES).max(LEAST_RUN);
        let tile = run * lanes;
        let tiles = self.cols.div_ceil(tile);
        let places = self.count.next_power_of_two();
        let scratch = [
            (STATE, self.rows * 8),
            (HISTOGRAMS, self.rows * tiles * VALUES * 4),
            (COUNTS, self.rows * tiles * 8),
            (WINNERS, self.rows * places * PAIR_BYTES),
        ];
        made.scratch.extend(scratch.map(|(name, bytes)| Scratch { name, bytes }));
        made.reason = format!(
            "rows of {} keys: the {}-th largest is found by its digits, {tiles} tiles a row",
            self.cols, self.count
        );
        let lanes_const = ("INVOCATIONS", INVOCATIONS);
        let tile_work = KEY_WORK * tile as f64;
        let clear = VALUES / lanes * 2;
        for shift in (0..self.key_bits).step_by(8).rev() {
            let known = (u64::from(u32::MAX) << (shift + 8)) & u64::from(u32::MAX);
            let known = if shift + 8 == self.key_bits { 0 } else { known };
            let digit = [("shift", u64::from(shift)), ("mask", known)];
            let mut of_tile = u32s([("cols", self.cols), ("tiles", tiles), ("tile", tile)]);
            of_tile.extend(u32s(digit));
            let mut step =
                self.step("histogram", wgsl!("routing/select/histogram.wgsl"), self.key.clone(), lanes_const);
            step.dispatches = group_dispatches(self.rows * tiles, tile_work, self.limits, &of_tile);
            step.trips = clear + run;
            made.steps.push(step);
            let mut of_row = u32s([("tiles", tiles), ("count", self.count)]);
            of_row.extend(u32s(digit));
            let mut step = self.step("pick", wgsl!("routing/select/pick.wgsl"), Vec::new(), lanes_const);
            step.dispatches = group_dispatches(self.rows, (VALUES * (tiles + 4)) as f64, self.limits, &of_row);
            step.trips = VALUES / lanes * (tiles + 1) + VALUES;
            made.steps.push(step);
        }
        let mut step = self.step("count", wgsl!("routing/select/count.wgsl"), self.key.clone(), lanes_const);
        let of_tile = u32s([("cols", self.cols), ("tiles", tiles), ("tile", tile)]);
        step.dispatches = group_dispatches(self.rows * tiles, tile_work, self.limits, &of_tile);
        step.trips = run;
        made.steps.push(step);
        let mut step = self.step("compact", wgsl!("routing/select/compact.wgsl"), self.key.clone(), lanes_const);
        let mut all = of_tile;
        all.extend(u32s([("run", run), ("count", self.count), ("size", places)]));
        step.dispatches = group_dispatches(self.rows * tiles, 2.0 * tile_work, self.limits, &all);
        step.trips = 2 * run + tiles + u64::from(INVOCATIONS.ilog2());
        made.steps.push(step);
    }

    /// Steps that sort [`WINNERS`] and store what the op gives.
    fn sort_winners(&self, most: u64, made: &mut Chosen) {
        let size = self.count.next_power_of_two();
        let winners = wgsl!("routing/select/source/winners.wgsl");
        let last_source: Vec<_> = if self.sink_needs_key { self.key.clone() } else { Vec::new() };
        let read = || std::iter::once(winners).chain(last_source.clone()).collect::<Vec<_>>();
        if size <= most {
            made.steps.push(self.sort(("winners", read()), self.sink.clone(), (self.count, size), (2, size)));
            return;
        }
        made.reason += &format!(", and {} are sorted in stretches of {most}", self.count);
        let in_place = || ("in_place", vec![wgsl!("routing/select/source/in_place.wgsl")]);
        // the places that fill a row up are written here, and hold pairs from here on
        made.steps.push(self.sort(in_place(), Vec::new(), (self.count, size), (2, most)));
        let mut stage = 2 * most;
        while stage <= size {
            let mut stride = stage / 2;
            while stride >= most {
                made.steps.push(self.exchange(size, stage, stride));
                stride /= 2;
            }
            let last = stage == size;
            let (source, sink) = if last { (("winners", read()), self.sink.clone()) } else { (in_place(), Vec::new()) };
            made.steps.push(self.sort(source, sink, (size, size), (stage, stage)));
            stage *= 2;
        }
    }

    /// A step that sorts stretches of rows in workgroup memory. `source` also defines the sink where `sink` is empty.
    fn sort(
        &self,
        (name, source): (&str, Vec<Source>),
        sink: Vec<Source>,
        (filled, size): (u64, u64),
        (first_stage, last_stage): (u64, u64),
    ) -> Step {
        let most = self.most_sorted();
        let sorted = size.clamp(LEAST_SORTED.min(most), most);
        let lanes = self.sort_lanes(sorted);
        let stretches = (self.rows * size).div_ceil(sorted);
        let params = u32s([
            ("rows", self.rows),
            ("cols", self.cols),
            ("count", self.count),
            ("filled", filled),
            ("size", size),
            ("first_stage", first_stage),
            ("last_stage", last_stage),
        ]);
        let slots: Vec<_> = std::iter::once(wgsl!("routing/select/order.wgsl")).chain(source).chain(sink).collect();
        let mut step = self.step(&format!("sort_{name}"), wgsl!("routing/select/sort.wgsl"), slots, ("LANES", lanes));
        step.name += &format!(".n{sorted}l{lanes}");
        step.consts.push(("SORT", narrow(sorted)));
        // strides of all stages that are walked here
        let level = |stage: u64| u64::from(stage.min(sorted).max(1).ilog2());
        let (low, high) = (u64::from(first_stage.ilog2()), u64::from(last_stage.max(1).ilog2()));
        let strides: u64 = (low..=high).map(|l| level(1 << l)).sum();
        let pairs = sorted / 2 / u64::from(lanes);
        let stages = if high >= low { high - low + 1 } else { 0 };
        step.trips = stages + strides * (pairs.max(1) + 1) + 2 * (sorted / u64::from(lanes)).max(1);
        let work = PAIR_WORK * sorted as f64 * (strides + 2) as f64;
        step.dispatches = group_dispatches(stretches, work, self.limits, &params);
        step
    }

    /// Invocations of a sort: on a CPU-type adapter a barrier costs as much as there are invocations.
    fn sort_lanes(&self, sorted: u64) -> u32 {
        let l = self.limits;
        let most = if l.kind == DeviceKind::Cpu { 64 } else { 256 };
        let most = l.invocations.min(l.workgroup_size_x).clamp(1, most).min(narrow(sorted / 2).max(1));
        1 << most.ilog2()
    }

    fn exchange(&self, size: u64, stage: u64, stride: u64) -> Step {
        let slots = vec![wgsl!("routing/select/order.wgsl")];
        let mut step =
            self.step("exchange", wgsl!("routing/select/exchange.wgsl"), slots, ("INVOCATIONS", INVOCATIONS));
        let params = u32s([("size", size), ("stage", stage), ("stride", stride)]);
        step.dispatches = dispatches(self.rows * size / 2, PAIR_WORK, self.limits, &params);
        step
    }

    fn step(&self, name: &str, kernel: Source, slots: Vec<Source>, lanes: (&'static str, u32)) -> Step {
        let keyed = self.key.iter().chain(&self.sink).any(|file| slots.contains(file));
        let variant = if keyed { format!(".{}", self.variant) } else { String::new() };
        let stem = if keyed { self.stem } else { "select" };
        let consts: Vec<_> = if keyed { self.consts.clone() } else { Vec::new() };
        Step {
            slots,
            consts: std::iter::once(lanes).chain(consts).collect(),
            f16: self.f16 && keyed,
            binds: if keyed { self.binds.clone() } else { Vec::new() },
            ..Step::plain(format!("{stem}_{name}{variant}"), kernel, Vec::new())
        }
    }
}

/// Dispatches over `groups` workgroups, each short enough if a workgroup costs `work` multiply-adds. Every one sets `first` and `group_count`, and after
/// them `params`.
fn group_dispatches(groups: u64, work: f64, limits: &Limits, params: &[(&'static str, Param)]) -> Vec<Dispatch> {
    let most = limits.units_in_time(work).min(u64::from(limits.groups_per_dim).pow(2));
    let dispatch = |first: u64| {
        let count = most.min(groups - first);
        let own = [("first", first), ("group_count", count)].map(|(n, x)| (n, Param::U32(narrow(x))));
        Dispatch {
            grid: fold_groups(count, limits.groups_per_dim),
            params: own.into_iter().chain(params.iter().copied()).collect(),
            windows: Vec::new(),
        }
    };
    starts(groups, most).map(dispatch).collect()
}
