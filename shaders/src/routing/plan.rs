//! The plan of a plan: counts by tiles of assignments, their scan, offsets, places.

use gatefold_core::routing::NO_ROW;
use gatefold_core::{Op, RoutingPlan};

use super::check_scratch;
use super::radix::{RadixSelect, SELECTION, key_file};
use crate::plan::narrow;
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Kernels, Limits, Param, Plan, PlanError, Scratch, Source, Step};

/// Assignments of a tile: as many as there are experts, so that its counts are no more than what they count; at least four a lane.
const LEAST_TILE: u64 = 256;
/// Most assignments of a tile: two counts of them share a word.
const MOST_TILE: u64 = 1 << 15;
/// Lines of counts that one invocation walks along; with more tiles they are added up by runs of as many first.
const RUN: u64 = 256;

/// Multiply-adds that a loop trip of a kernel costs at most: a load that waits for no other, or an atomic in workgroup memory.
const TRIP_WORK: f64 = 16.0;
/// The same of a comparison with one other assignment in workgroup memory.
const COMPARE_WORK: f64 = 2.0;
/// Multiply-adds of an invocation that fills a row: eleven loads, one after the other.
const FILL_WORK: f64 = 120.0;

/// Sizes of the steps.
struct Sizes {
    assignments: u64,
    experts: u64,
    rows: u64,
    /// Experts, rounded up: what sizes workgroup memory.
    padded: u64,
    columns: u64,
    tile: u64,
    tiles: u64,
    runs: u64,
}

impl Sizes {
    fn new(op: &RoutingPlan, limits: &Limits) -> Self {
        let (assignments, experts) = (op.assignments() as u64, op.experts as u64);
        let padded = experts.next_power_of_two().max(INVOCATIONS.into());
        let columns = if op.by_weight() { 2 * experts } else { experts };
        let mut tile = padded.max(LEAST_TILE);
        let tiles = |tile: u64| assignments.div_ceil(tile).max(1);
        while tiles(tile) * columns * 4 > limits.binding_bytes && tile < MOST_TILE {
            tile *= 2;
        }
        let tiles = tiles(tile);
        Self { assignments, experts, rows: op.rows() as u64, padded, columns, tile, tiles, runs: tiles.div_ceil(RUN) }
    }

    fn is_long(&self) -> bool {
        self.runs > 1
    }

    fn scratch(&self) -> Vec<Scratch> {
        let of = |name, words: u64| Scratch { name, bytes: 4 * words };
        let mut all = vec![
            of("tile_counts", self.tiles * self.columns),
            of("totals", self.columns),
            of("hostile", 2 * self.tiles),
        ];
        all.extend(self.is_long().then(|| of("run_counts", self.runs * self.columns)));
        all
    }

    fn params(&self, op: &RoutingPlan) -> Vec<(&'static str, Param)> {
        let capacity = op.capacity.map_or(NO_ROW.into(), |c| (c as u64).min(NO_ROW.into()));
        let sizes = [
            ("assignments", self.assignments),
            ("experts", self.experts),
            ("columns", self.columns),
            ("tile", self.tile),
            ("tiles", self.tiles),
            ("run", RUN),
            ("lines", if self.is_long() { self.runs } else { self.tiles }),
            ("capacity", capacity),
            ("rows", self.rows),
            ("block", op.block as u64),
        ];
        sizes.into_iter().map(|(name, n)| (name, Param::U32(narrow(n)))).collect()
    }
}

/// What makes steps of a plan.
struct Maker<'a> {
    sizes: Sizes,
    limits: &'a Limits,
    params: Vec<(&'static str, Param)>,
    by_weight: bool,
}

impl Maker<'_> {
    /// A step of `invocations`, each of which makes `trips` loop trips that cost `work` in all.
    fn step(&self, stem: &str, kernel: Source, slots: Vec<Source>, invocations: u64, trips: u64, work: f64) -> Step {
        Step {
            slots: std::iter::once(wgsl!("routing/plan/shape.wgsl")).chain(slots).collect(),
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            trips,
            ..Step::plain(
                format!("routing_plan_{stem}"),
                kernel,
                dispatches(invocations, work, self.limits, &self.params),
            )
        }
    }

    /// A step of a workgroup a tile, with a word of workgroup memory an expert.
    fn tile_step(&self, stem: &str, kernel: Source, trips: u64, work: f64) -> Step {
        let lanes = u64::from(INVOCATIONS);
        let (drop, slots) = if self.by_weight {
            ("by_weight", vec![key_file(), wgsl!("routing/plan/keep/weight.wgsl")])
        } else {
            ("by_position", vec![wgsl!("routing/plan/keep/position.wgsl")])
        };
        let padded = self.sizes.padded;
        let mut step = self.step(stem, kernel, slots, self.sizes.tiles * lanes, trips, work);
        step.name = format!("{}.{drop}.experts{padded}", step.name);
        step.consts.push(("EXPERTS", narrow(padded)));
        step
    }

    /// How many assignments each tile has of each expert.
    fn count(&self) -> Step {
        let s = &self.sizes;
        let trips = (s.padded + s.tile + s.columns).div_ceil(INVOCATIONS.into()) + 2;
        self.tile_step("count", wgsl!("routing/plan/count.wgsl"), trips, TRIP_WORK * trips as f64)
    }

    /// What each expert has before each tile, and in all.
    fn scan(&self) -> Vec<Step> {
        let s = &self.sizes;
        let walk = |stem, kernel, invocations, trips: u64| {
            self.step(stem, kernel, Vec::new(), invocations, trips, TRIP_WORK * trips as f64)
        };
        let scan = |lines| walk("scan", wgsl!("routing/plan/scan.wgsl"), s.columns, lines);
        if !s.is_long() {
            return vec![Step { binds: vec![("partials", "tile_counts")], ..scan(s.tiles) }];
        }
        vec![
            walk("sums", wgsl!("routing/plan/sums.wgsl"), s.runs * s.columns, RUN),
            Step { binds: vec![("partials", "run_counts")], ..scan(s.runs) },
            walk("apply", wgsl!("routing/plan/apply.wgsl"), s.runs * s.columns, RUN),
        ]
    }

    /// Where each expert's rows begin.
    fn offsets(&self) -> Step {
        let lanes = u64::from(INVOCATIONS);
        let trips = 2 * self.sizes.experts.div_ceil(lanes) + self.sizes.tiles.div_ceil(lanes) + 2 * lanes;
        let (drop, slots) = if self.by_weight {
            ("by_weight", vec![key_file(), wgsl!("routing/plan/room/weight.wgsl")])
        } else {
            ("by_position", vec![wgsl!("routing/plan/room/position.wgsl")])
        };
        let kernel = wgsl!("routing/plan/offsets.wgsl");
        let step = self.step("offsets", kernel, slots, lanes, trips, TRIP_WORK * trips as f64);
        Step { name: format!("{}.{drop}", step.name), ..step }
    }

    /// Rows that no assignment has.
    fn fill(&self) -> Step {
        let trips = u64::from(self.sizes.padded.trailing_zeros()) + 1;
        self.step("fill", wgsl!("routing/plan/fill.wgsl"), Vec::new(), self.sizes.rows, trips, FILL_WORK)
    }

    /// The row of each assignment.
    fn place(&self) -> Step {
        let (s, lanes) = (&self.sizes, u64::from(INVOCATIONS));
        let chunks = s.tile / lanes;
        let trips = s.padded / lanes + chunks * (lanes + 1);
        let work = COMPARE_WORK * (chunks * lanes) as f64 + TRIP_WORK * (s.padded / lanes + 4 * chunks) as f64;
        self.tile_step("place", wgsl!("routing/plan/place.wgsl"), trips, work)
    }
}

/// Refuses more experts than a workgroup's memory has words for.
fn check_memory(padded: u64, limits: &Limits) -> Result<(), PlanError> {
    let (need, have) = (4 * (padded + 2 * u64::from(INVOCATIONS)), u64::from(limits.workgroup_memory));
    if need > have {
        let (kernel, limit) = ("routing_plan_place".into(), "bytes of workgroup memory");
        return Err(PlanError::Limit { kernel, limit, need, have });
    }
    Ok(())
}

impl Kernels for RoutingPlan {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        check_bindings(&self.operands(), limits)?;
        let sizes = Sizes::new(self, limits);
        let mut plan = Plan { op: Self::NAME, scratch: sizes.scratch(), ..Plan::default() };
        check_scratch(&plan.scratch, limits)?;
        let Sizes { tile, tiles, .. } = sizes;
        plan.reasons.push(format!("{tiles} tiles of {tile} assignments: counts no larger than what they count"));
        let (params, by_weight) = (sizes.params(self), self.by_weight());
        if by_weight {
            let select = RadixSelect {
                name: "routing_plan",
                candidates: sizes.assignments,
                segments: sizes.experts,
                capacity: narrow(self.capacity.unwrap_or(0) as u64).min(NO_ROW),
                candidate: wgsl!("routing/plan/candidate.wgsl"),
            };
            plan.scratch.extend(select.scratch());
            plan.steps.extend(select.steps(limits)?);
            plan.reasons.push(format!("thresholds in {SELECTION} by radix: no sort of what is dropped"));
        }
        let make = Maker { sizes, limits, params, by_weight };
        plan.steps.push(make.count());
        plan.steps.extend(make.scan());
        plan.steps.push(make.offsets());
        if make.sizes.rows > 0 {
            plan.steps.push(make.fill());
        }
        if make.sizes.assignments > 0 {
            plan.steps.push(make.place());
        }
        check_memory(make.sizes.padded, limits)?;
        Ok(plan)
    }
}
