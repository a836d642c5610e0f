//! Which loop of the machine code is which loop of the plan.
//!
//! Both are trees in program order. A loop whose count of trips is a constant may have been written out by the driver: then its work is its
//! parent's, and its inner loops stand there as often as it had trips. Of all ways to match the two, the one is taken whose loops multiply
//! at least as often as the plan needs and closest to it, and touch buffers where the plan's do. If there is none, the variant has no figure: nothing is guessed.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use gatefold_shaders::Loop;

use super::flow::{Tree, most_multiplications};
use super::listing::Block;

/// A loop of the machine code and what the plan says about it.
#[derive(Debug, Clone)]
pub(super) struct Matched<'a> {
    /// The machine's loop.
    pub(super) tree: &'a Tree,
    /// The plan's name of it.
    pub(super) name: &'static str,
    /// Trips each time it is entered.
    pub(super) trips: f64,
    /// Share of the trips that take the dearest way.
    pub(super) edge: f64,
    /// Multiply-adds needed in a trip: its own and those of loops that were written out into it.
    pub(super) mul_adds: f64,
    /// Its inner loops, in order.
    pub(super) inner: Vec<Matched<'a>>,
}

/// Most copies of a written-out loop's inner loops.
const MOST_COPIES: usize = 64;

/// What it costs if a loop touches buffers that should not: more than any difference in multiplications.
const ODD: f64 = 1e6;

/// Whether a loop reads or writes buffers, in blocks that are not of its inner loops.
fn touches_buffers(blocks: &[Block], tree: &Tree) -> bool {
    let own = (tree.first..=tree.last).filter(|&b| !tree.inner.iter().any(|t| (t.first..=t.last).contains(&b)));
    let is_access = |line: &String| {
        ["buffer_load", "buffer_store", "buffer_atomic", "global_", "flat_"].iter().any(|p| line.starts_with(p))
    };
    own.flat_map(|b| &blocks[b].lines).any(is_access)
}

/// A match of some loops: how badly it fits, and the multiply-adds that written-out loops leave to the parent.
type Fits<'a> = BTreeMap<u64, (f64, Vec<Matched<'a>>)>;

struct Matcher<'a> {
    blocks: &'a [Block],
    /// Bytes that 16-byte stores of the whole workgroup clear in a trip of a loop that zeroes workgroup memory, and all bytes.
    clears: (f64, f64),
    lean: Lean,
}

/// Between equal fits, which loops were written out. Where the two differ in what they cost, the match is a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    /// Those of fewer trips.
    Short,
    /// Those of more.
    Long,
}

/// Name of the loop that the driver adds to zero workgroup memory.
const ZERO: &str = "zero workgroup memory";

impl<'a> Matcher<'a> {
    /// Whether a loop does nothing but zero workgroup memory.
    fn zeroes(&self, tree: &Tree) -> bool {
        let counts = self.blocks[tree.first..=tree.last].iter().map(|b| b.count);
        let all = counts.fold(super::listing::Count::default(), |a, b| a + b);
        let mut lds =
            self.blocks[tree.first..=tree.last].iter().flat_map(|b| &b.lines).filter(|l| l.starts_with("ds_"));
        let only_stores = lds.all(|l| l.starts_with("ds_write") || l.starts_with("ds_store"));
        tree.inner.is_empty() && all.lds > 0.0 && only_stores && all.memory == 0.0 && all.multiplying() == 0.0
    }

    fn zeroing(&self, tree: &'a Tree) -> Matched<'a> {
        let trips = (self.clears.1 / self.clears.0.max(1.0)).ceil();
        Matched { tree, name: ZERO, trips, edge: 0.0, mul_adds: 0.0, inner: Vec::new() }
    }

    /// All ways to match a loop of the machine with one of the plan; the best, with what it costs.
    fn one(&self, tree: &'a Tree, of: &Loop) -> Option<(f64, Matched<'a>)> {
        let has = most_multiplications(self.blocks, tree);
        let touches = touches_buffers(self.blocks, tree);
        if of.buffers && !touches {
            return None;
        }
        // A loop in registers and workgroup memory may still have spills, which some versions keep in a buffer.
        let odd = if touches && !of.buffers && of.inner.is_empty() { ODD } else { 0.0 };
        let fits = self.many(&tree.inner, &of.inner.iter().collect::<Vec<_>>());
        let mut best: Option<(f64, Matched<'a>)> = None;
        for (written_out, (inside, inner)) in fits {
            let needed = (of.mul_adds + written_out) as f64;
            if has + 1e-6 < needed {
                continue;
            }
            let cost = inside + (has - needed) + odd;
            if best.as_ref().is_none_or(|(c, _)| cost < *c) {
                let matched = Matched { tree, name: of.name, trips: of.trips, edge: of.edge, mul_adds: needed, inner };
                best = Some((cost, matched));
            }
        }
        best
    }

    /// Ways to match all of these loops of the machine with all of these of the plan, by the multiply-adds that are left to the parent.
    fn many(&self, trees: &'a [Tree], of: &[&Loop]) -> Fits<'a> {
        let mut found = Fits::new();
        let Some((first, rest)) = of.split_first() else {
            if trees.is_empty() {
                found.insert(0, (0.0, Vec::new()));
            }
            return found;
        };
        let mut add = |left: u64, cost: f64, matched: Vec<Matched<'a>>| {
            if found.get(&left).is_none_or(|(c, _)| cost < *c) {
                found.insert(left, (cost, matched));
            }
        };
        if let Some((tree, others)) = trees.split_first()
            && let Some((cost, matched)) = self.one(tree, first)
        {
            for (left, (more, mut all)) in self.many(others, rest) {
                all.insert(0, matched.clone());
                add(left, cost + more, all);
            }
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive count")]
        let copies = first.trips.ceil() as usize;
        if first.fixed && (first.inner.is_empty() || copies <= MOST_COPIES) {
            let inside = first.inner.iter().cycle().take(copies * first.inner.len());
            let spliced: Vec<_> = inside.chain(rest.iter().copied()).collect();
            let own = first.mul_adds * copies as u64;
            let doubt = if self.lean == Lean::Short { 1e-6 * first.trips } else { -1e-6 * first.trips };
            for (left, (cost, all)) in self.many(trees, &spliced) {
                add(left + own, cost + doubt, all);
            }
        }
        found
    }
}

/// Matches the machine's loops with the plan's. `clears`: bytes of workgroup memory that a trip of the driver's zeroing covers, and all.
///
/// # Errors
/// If no match is plausible.
pub(super) fn align<'a>(
    blocks: &'a [Block],
    root: &'a Tree,
    loops: &[Loop],
    clears: (f64, f64),
    lean: Lean,
) -> Result<Matched<'a>> {
    let matcher = Matcher { blocks, clears, lean };
    let whole = Loop { inner: loops.to_vec(), ..Loop::new("main", 1.0) };
    // The driver zeroes workgroup memory before anything else.
    let added = root.inner.first().filter(|t| matcher.zeroes(t));
    let plans: Vec<_> = whole.inner.iter().collect();
    let (zeroing, trees) = match added {
        Some(tree) => (Some(matcher.zeroing(tree)), &root.inner[1..]),
        None => (None, &root.inner[..]),
    };
    let fits = matcher.many(trees, &plans);
    let has = most_multiplications(blocks, root);
    let fits = fits.into_iter().filter(|(left, _)| *left as f64 <= has + 1e-6);
    let best = fits.min_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let (left, (_, inner)) = best.ok_or_else(|| anyhow!("loops do not match the plan: {}", outline(blocks, root)))?;
    let inner = zeroing.into_iter().chain(inner).collect();
    Ok(Matched { tree: root, name: "main", trips: 1.0, edge: 0.0, mul_adds: left as f64, inner })
}

/// The machine's loops and how often each multiplies: `{0 {512 {0} {64}}}`.
fn outline(blocks: &[Block], tree: &Tree) -> String {
    let inner: Vec<_> = tree.inner.iter().map(|t| outline(blocks, t)).collect();
    let own = most_multiplications(blocks, tree);
    if inner.is_empty() { format!("{{{own}}}") } else { format!("{{{own} {}}}", inner.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::super::flow::loops;
    use super::super::listing::parse;
    use super::*;

    /// Three loops, the last two inside the first: `outer { 8 multiply-adds; a {}; b { 2 multiply-adds } }`.
    fn text() -> String {
        let fma = "\tv_fmac_f32_e32 v0, v1, v2\n";
        format!(
            "BB0:\n\ts_nop 0\nBB1:\n{}BB2:\n\tds_load_b32 v1, v2\n\ts_cbranch_scc1 BB2\nBB3:\n{}\ts_cbranch_scc1 BB3\nBB4:\n\
             \ts_cbranch_scc1 BB1\nBB5:\n\ts_endpgm\n",
            fma.repeat(8),
            fma.repeat(2)
        )
    }

    fn plan(inner: Vec<Loop>) -> Vec<Loop> {
        vec![Loop { inner, ..Loop::new("outer", 10.0) }]
    }

    fn names(of: &Matched<'_>) -> String {
        let inner: Vec<_> = of.inner.iter().map(names).collect();
        format!("{}:{}[{}]", of.name, of.mul_adds, inner.join(" "))
    }

    #[test]
    fn a_fixed_loop_may_have_been_written_out() {
        let text = text();
        let blocks = parse(&text, 64).unwrap();
        let tree = loops(&blocks).unwrap();
        let inner = vec![
            Loop { mul_adds: 2, ..Loop::fixed("x", 4.0) },
            Loop::fixed("a", 3.0),
            Loop { mul_adds: 2, ..Loop::fixed("b", 5.0) },
        ];
        let found = align(&blocks, &tree, &plan(inner), (1024.0, 0.0), Lean::Short).unwrap();
        assert_eq!(names(&found), "main:0[outer:8[a:0[] b:2[]]]");
    }

    #[test]
    fn loops_are_told_apart_by_what_they_touch() {
        let text = "BB0:\n\ts_nop 0\nBB1:\n\tbuffer_load_b128 v[0:3], v4\n\ts_cbranch_scc1 BB1\nBB2:\n\tds_load_b32 v0, v1\n\
            \ts_cbranch_scc1 BB2\nBB3:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let tree = loops(&blocks).unwrap();
        let rows = Loop::fixed("rows", 8.0);
        let plan = [rows.clone(), Loop::fixed("staging", 2.0).with_buffers(), rows];
        let found = align(&blocks, &tree, &plan, (1024.0, 0.0), Lean::Short).unwrap();
        assert_eq!(names(&found), "main:0[staging:0[] rows:0[]]");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let text = text();
        let blocks = parse(&text, 64).unwrap();
        let tree = loops(&blocks).unwrap();
        let too_many = vec![Loop::new("a", 3.0), Loop { mul_adds: 3, ..Loop::new("b", 5.0) }];
        let error = align(&blocks, &tree, &plan(too_many), (1024.0, 0.0), Lean::Short).unwrap_err().to_string();
        assert!(error.contains("{8 {0} {2}}"), "{error}");
        assert!(align(&blocks, &tree, &plan(vec![Loop::new("a", 1.0)]), (1024.0, 0.0), Lean::Short).is_err());
    }

    #[test]
    fn a_loop_that_zeroes_workgroup_memory_is_the_drivers() {
        let text = "BB0:\n\ts_nop 0\nBB1:\n\tds_store_b128 v1, v[2:5]\n\ts_cbranch_scc1 BB1\nBB2:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let tree = loops(&blocks).unwrap();
        let found = align(&blocks, &tree, &[], (1024.0, 4096.0), Lean::Short).unwrap();
        assert_eq!((found.inner[0].name, found.inner[0].trips), (ZERO, 4.0));
    }
}
