//! Proves that a step needs no runtime checks: every index stays in bounds and every loop ends, whatever the buffers hold, under the plan's numbers.
//!
//! An abstract interpretation of naga's IR, per step and dispatch, from the entry point on; functions are run anew at each call. What a kernel
//! is given is known: parameters, grid, workgroup size, sizes of bindings. What it loads from buffers and workgroup memory, and what
//! atomics, subgroup operations and floats become as integers, is any number of its type.
//!
//! - `range`: whole numbers from … to, and what WGSL's operations make of them.
//! - `terms`: integers as linear forms modulo 2³² over atoms, so that equal expressions are one and a sum that wraps as a whole stays exact.
//! - `facts`: what a path says (branches, loop guards, `select`), of atoms and of sums; `bounds`: what two facts say together (`x − y ≤ −1`), or definitions
//!   one after another.
//! - `value`, `machine`, `expr`, `ops`, `statement`: values by component, variables of an invocation, control flow with joins.
//! - `loops`: what a trip changes, found once for any start, gives every trip's state as `start + step·n` and the bound of n.
//!
//! Taken for granted: the module is what naga validated; arithmetic of u32 and i32 wraps; shifts take their amount modulo 32; division by zero gives the
//! dividend, and its remainder 0; a float becomes any integer (in WGSL it saturates); memory written by other invocations holds anything; read-only
//! bindings do not change during a dispatch and no two bindings of which one is written overlap; the driver compiles what it is given. What a subgroup
//! operation does with a lane that is not there is a value, never an access. Not proven: that workgroup memory is written before it is read; it is zeroed.

mod bounds;
mod expr;
mod facts;
mod loops;
mod machine;
mod ops;
mod range;
mod statement;
mod terms;
#[cfg(test)]
mod tests;
mod value;
mod ways;
mod writes;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use gatefold_core::Operand;

use crate::link::Module;
use crate::{Dispatch, LinkError, Param, Plan, Safety, Step};
use range::Range;

/// How often a step is looked at, about at most: all its dispatches at once, and parts of them if that does not prove everything.
const MOST_LOOKS: usize = 256;

/// What a run takes for granted: the numbers of a dispatch, or of several.
struct Numbers {
    bytes: HashMap<String, u64>,
    params: HashMap<&'static str, (bool, Range)>,
    /// Most workgroups by dimension.
    grid: [u32; 3],
    /// Whether that is the grid of all.
    same_grid: bool,
}

/// What a dispatch binds for a global.
type Bytes<'a> = &'a dyn Fn(&Dispatch, &str) -> u64;

impl Numbers {
    /// What holds for all of these dispatches.
    fn of(all: &[&Row<'_>], module: &Module, bytes: Bytes<'_>) -> Self {
        let mut params: HashMap<&'static str, (bool, Range)> = HashMap::new();
        let mut grid = [0; 3];
        for Row { dispatch, .. } in all {
            for (most, own) in grid.iter_mut().zip(dispatch.grid) {
                *most = own.max(*most);
            }
            for (name, param) in &dispatch.params {
                let (signed, n) = match *param {
                    Param::U32(n) => (false, n.into()),
                    Param::I32(n) => (true, n.into()),
                    Param::F32(_) => continue,
                };
                let entry = params.entry(name).or_insert((signed, Range::only(n)));
                entry.1 = entry.1.hull(Range::only(n));
            }
        }
        let least = |name: &str| all.iter().map(|row| bytes(row.dispatch, name)).min().unwrap_or(0);
        Self {
            bytes: module.bindings.iter().map(|b| (b.name.clone(), least(&b.name))).collect(),
            params,
            grid,
            same_grid: all.iter().all(|row| row.dispatch.grid == grid),
        }
    }
}

/// A dispatch, and all its numbers in a list: those of two dispatches stand in the same order if their parameters do.
struct Row<'a> {
    dispatch: &'a Dispatch,
    list: Vec<u64>,
}

impl<'a> Row<'a> {
    fn of(dispatch: &'a Dispatch, module: &Module, bytes: Bytes<'_>) -> Self {
        let bound = module.bindings.iter().map(|b| bytes(dispatch, &b.name));
        let whole = dispatch.params.iter().map(|(_, param)| match *param {
            Param::U32(n) => n.into(),
            Param::I32(n) => n.cast_unsigned().into(),
            Param::F32(_) => 0,
        });
        Self { dispatch, list: bound.chain(whole).chain(dispatch.grid.map(u64::from)).collect() }
    }

    /// The dispatches of a step, without empty ones and those that are like another.
    fn all(step: &'a Step, module: &Module, bytes: Bytes<'_>) -> Vec<Self> {
        let mut known = HashSet::new();
        let dispatches = step.dispatches.iter().filter(|d| !d.grid.contains(&0));
        let mut all: Vec<Self> = dispatches.map(|d| Self::of(d, module, bytes)).collect();
        let names = |d: &Dispatch| d.params.iter().map(|p| p.0).collect::<Vec<_>>();
        if let Some(first) = all.first().map(|row| names(row.dispatch)) {
            all.retain(|row| !row.dispatch.params.iter().map(|p| &p.0).eq(&first) || known.insert(row.list.clone()));
        }
        all
    }
}

/// Groups of equal numbers, by each number that takes several values: the fewest groups first, and none twice. What a window has of its own is in some
/// of them, what a range of terms has in others.
fn groupings<'a, 'b>(all: &[&'b Row<'a>]) -> Vec<Vec<Vec<&'b Row<'a>>>> {
    let mut known = BTreeSet::new();
    for at in 0..all.iter().map(|row| row.list.len()).min().unwrap_or(0) {
        let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        all.iter().enumerate().for_each(|(i, row)| groups.entry(row.list[at]).or_default().push(i));
        if groups.len() > 1 {
            known.insert(groups.into_values().collect::<BTreeSet<_>>());
        }
    }
    let rows = |of: &Vec<usize>| of.iter().map(|&i| all[i]).collect();
    let mut found: Vec<Vec<_>> = known.iter().map(|groups| groups.iter().map(rows).collect()).collect();
    found.sort_by_key(Vec::len);
    found
}

/// An index or a loop, wherever it is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Site {
    /// The function's number; none for the entry point.
    function: Option<usize>,
    at: usize,
    is_loop: bool,
}

#[derive(Debug, Clone)]
struct Verified {
    span: naga::Span,
    fault: Option<(String, Range)>,
    trips: i128,
}

impl Verified {
    /// Adds what was found of the same place under other numbers.
    fn join(&mut self, other: &Self) {
        self.trips = self.trips.max(other.trips);
        self.fault = other.fault.clone().or(self.fault.take());
    }
}

/// An index or a loop that is not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// WGSL file, path below `shaders/src`.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// What is not proven.
    pub what: String,
    /// The numbers that an index may be as far as is known.
    pub interval: Option<(i128, i128)>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}:{}", self.what, self.file, self.line)?;
        match self.interval {
            Some((lo, hi)) => write!(f, ", found {lo} ..= {hi})"),
            None => f.write_str(")"),
        }
    }
}

/// What is proven of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Indices that are proven to stay in bounds, and all that are reached.
    pub indices: (usize, usize),
    /// Loops that are proven to end, and all that are reached.
    pub loops: (usize, usize),
    /// Most trips of any one loop each time it is entered, where they are known.
    pub trips: u64,
    /// What is not proven.
    pub unproven: Vec<Finding>,
}

impl Proof {
    /// Whether nothing is left that a runtime check could catch.
    pub fn holds(&self) -> bool {
        self.unproven.is_empty()
    }
}

type Sites = HashMap<Site, Verified>;

/// What is looked at, and what was found.
struct Search<'a> {
    module: &'a Module,
    bytes: Bytes<'a>,
    writes: Rc<writes::Writes>,
    /// All places met, with the latest fault of each.
    sites: Sites,
    looks: usize,
    /// Whether some dispatch could not be looked at to the end.
    too_long: bool,
}

impl Search<'_> {
    /// Places that are not proven, of dispatches looked at together. None if that takes too long.
    fn look(&mut self, all: &[&Row<'_>]) -> Option<HashSet<Site>> {
        let numbers = Numbers::of(all, self.module, self.bytes);
        let mut sites = Sites::new();
        let thorough = all.len() == 1;
        let whole = machine::Machine::new(self.module, &numbers, Rc::clone(&self.writes), &mut sites, thorough).run();
        self.looks = self.looks.saturating_sub(1);
        let open = sites.iter().filter(|(_, v)| v.fault.is_some()).map(|(site, _)| *site).collect();
        for (site, verified) in sites {
            self.sites.entry(site).and_modify(|v| v.join(&verified)).or_insert(verified);
        }
        whole.then_some(open)
    }

    /// Places that are not proven. One is if it is in every group of one grouping: an access before which nothing was out of bounds is not, so no access is.
    fn settle(&mut self, all: &[&Row<'_>]) -> HashSet<Site> {
        let Some(mut open) = self.look(all) else { return self.parts(all, None) };
        if open.is_empty() {
            return open;
        }
        for groups in groupings(all) {
            if open.is_empty() || groups.len() > self.looks / 2 {
                break;
            }
            let found: Option<Vec<_>> = groups.iter().map(|group| self.look(group)).collect();
            if let Some(found) = found {
                open.retain(|site| found.iter().any(|of| of.contains(site)));
            }
        }
        if open.is_empty() { open } else { self.parts(all, Some(open)) }
    }

    /// Of dispatches that were looked at together, and of the places that this left open (none are known if it took too long), those that are not
    /// proven in some part.
    fn parts(&mut self, all: &[&Row<'_>], open: Option<HashSet<Site>>) -> HashSet<Site> {
        let Some(groups) = groupings(all).into_iter().next().filter(|groups| groups.len() <= self.looks) else {
            self.too_long |= open.is_none();
            return open.unwrap_or_default();
        };
        let mut left = HashSet::new();
        for group in groups {
            let still = match (self.look(&group), &open) {
                (Some(found), Some(open)) => Some(&found & open),
                (found, open) => found.or_else(|| open.clone()),
            };
            if still.as_ref().is_none_or(|s| !s.is_empty()) {
                left.extend(self.parts(&group, still));
            }
        }
        left
    }
}

/// Proves what can be proven of a step. `bytes` is what a dispatch binds for a global.
pub fn prove(module: &Module, step: &Step, bytes: &dyn Fn(&Dispatch, &str) -> u64) -> Proof {
    let writes = Rc::new(writes::Writes::of(&module.naga));
    let rows = Row::all(step, module, bytes);
    let all: Vec<&Row<'_>> = rows.iter().collect();
    let mut search = Search { module, bytes, writes, sites: Sites::new(), looks: MOST_LOOKS, too_long: false };
    let open = if all.is_empty() { HashSet::new() } else { search.settle(&all) };
    let Search { mut sites, too_long, .. } = search;
    for (site, verified) in &mut sites {
        verified.fault = verified.fault.take().filter(|_| open.contains(site));
    }
    proof(module, step, sites, !too_long)
}

fn proof(module: &Module, step: &Step, sites: Sites, whole: bool) -> Proof {
    let mut proof = Proof::default();
    if !whole {
        let (file, what) = (step.kernel.path.into(), "too long to be looked at".into());
        proof.unproven.push(Finding { file, line: 1, what, interval: None });
    }
    let mut all: Vec<_> = sites.into_iter().collect();
    all.sort_by_key(|(site, _)| *site);
    for (site, verified) in all {
        let count = if site.is_loop { &mut proof.loops } else { &mut proof.indices };
        count.1 += 1;
        proof.trips = proof.trips.max(u64::try_from(verified.trips).unwrap_or(0));
        let Some((what, range)) = verified.fault else {
            count.0 += 1;
            continue;
        };
        let at = module.locate(verified.span);
        let interval = (!site.is_loop && range != Range::ALL).then_some((range.lo, range.hi));
        proof.unproven.push(Finding { file: at.file.into(), line: at.line, what, interval });
    }
    proof
}

/// Bytes that a dispatch binds for a global, at least: whole words.
pub fn bound_bytes(plan: &Plan, step: &Step, operands: &[Operand], dispatch: &Dispatch, global: &str) -> u64 {
    if let Some(window) = dispatch.windows.iter().find(|w| w.operand == global) {
        return window.bytes.next_multiple_of(4);
    }
    let name = step.operand_of(global);
    let operand = operands.iter().find(|o| o.name == name).map(Operand::bytes);
    let bytes = operand.or_else(|| plan.scratch.iter().find(|s| s.name == name).map(|s| s.bytes));
    bytes.unwrap_or(0).next_multiple_of(4)
}

/// Decides for each step of a plan how it runs: without runtime checks only if the planner claims that it may and the claim is proven. `module` links a step.
pub fn settle<M: Borrow<Module>>(
    plan: &mut Plan,
    operands: &[Operand],
    mut module: impl FnMut(&Step) -> Result<M, LinkError>,
) {
    let verdict = |step: &Step| {
        if !step.proven {
            return Safety::Checked("the planner does not claim that it may run without".into());
        }
        let module = match module(step) {
            Ok(module) => module,
            Err(error) => return Safety::Checked(error.to_string()),
        };
        let bytes = |dispatch: &Dispatch, global: &str| bound_bytes(plan, step, operands, dispatch, global);
        match &prove(module.borrow(), step, &bytes).unproven[..] {
            [] => Safety::Proven,
            [one] => Safety::Checked(one.to_string()),
            [first, more @ ..] => Safety::Checked(format!("{first}, and {} more", more.len())),
        }
    };
    plan.safety = plan.steps.iter().map(verdict).collect();
}
