//! Entries of a plan's lists that are not legal, counted in two steps.

use crate::plan::narrow;
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, dispatches};
use crate::{Dispatch, Limits, Param, Plan, Scratch, Source, Step};

/// Entries that an invocation looks at.
const EACH: u32 = 32;
/// Multiply-adds that an entry costs.
const ENTRY_WORK: f64 = 8.0;
/// Name of the scratch that holds the counts of parts.
const PARTS: &str = "rejected_parts";

fn step(name: &str, kernel: Source, consts: Vec<(&'static str, u32)>, dispatches: Vec<Dispatch>, trips: u64) -> Step {
    Step { consts, trips, ..Step::plain(name, kernel, dispatches) }
}

/// Adds the steps that fill `rejected` from `operand`, a list of `entries` of which those below `legal` are legal.
pub(super) fn add(plan: &mut Plan, operand: &'static str, entries: usize, legal: usize, limits: &Limits) {
    let lanes = u64::from(INVOCATIONS);
    let parts = (entries as u64).div_ceil(lanes * u64::from(EACH)).max(1);
    let sizes = [("entries", entries), ("legal", legal)].map(|(name, n)| (name, Param::U32(narrow(n as u64))));
    let work = ENTRY_WORK * f64::from(EACH);
    let consts = vec![("LANES", INVOCATIONS), ("EACH", EACH)];
    let counted = dispatches(parts * lanes, work, limits, &sizes);
    let kernel = wgsl!("routing/rejected_parts.wgsl");
    let mut first = step("routing_rejected_parts", kernel, consts, counted, EACH.into());
    first.binds = vec![("listed", operand)];
    let params = vec![("parts", Param::U32(narrow(parts)))];
    let whole = vec![Dispatch { grid: [1, 1, 1], params, windows: Vec::new() }];
    let consts = vec![("LANES", INVOCATIONS)];
    let second = step("routing_rejected", wgsl!("routing/rejected.wgsl"), consts, whole, parts.div_ceil(lanes));
    plan.steps.extend([first, second]);
    plan.scratch.push(Scratch { name: PARTS, bytes: 8 * parts });
    plan.reasons.push(format!("{entries} entries of {operand} are looked at in {parts} parts"));
}
