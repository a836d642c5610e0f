//! Loops of a disassembly, and the cheapest and the dearest way through a loop's body.

use anyhow::{Result, bail};

use super::listing::{Block, Count, Jump};

/// A loop: a range of blocks that ends where control goes back to its first. The whole program is one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// First block.
    pub(super) first: usize,
    /// Last block.
    pub(super) last: usize,
    /// Loops in it, by address.
    pub(super) inner: Vec<Tree>,
}

impl Tree {
    fn holds(&self, block: usize) -> bool {
        (self.first..=self.last).contains(&block)
    }
}

/// Where control may go from a block.
fn successors(blocks: &[Block], at: usize) -> Vec<usize> {
    match blocks[at].jump {
        Jump::Next => vec![at + 1],
        Jump::End => vec![],
        Jump::Always(to) => vec![to],
        Jump::Uniform(to) | Jump::Divergent(to) => vec![at + 1, to],
    }
}

/// The program as a tree of loops.
///
/// # Errors
/// If loops overlap without one holding the other.
pub(super) fn loops(blocks: &[Block]) -> Result<Tree> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in 0..blocks.len() {
        for to in successors(blocks, at).into_iter().filter(|&to| to <= at) {
            match ranges.iter_mut().find(|r| r.0 == to) {
                Some(range) => range.1 = range.1.max(at),
                None => ranges.push((to, at)),
            }
        }
    }
    ranges.sort_by_key(|&(first, last)| (first, std::cmp::Reverse(last)));
    let mut root = Tree { first: 0, last: blocks.len().saturating_sub(1), inner: Vec::new() };
    for (first, last) in ranges {
        put(&mut root, Tree { first, last, inner: Vec::new() })?;
    }
    Ok(root)
}

fn put(into: &mut Tree, new: Tree) -> Result<()> {
    if let Some(outer) = into.inner.last_mut().filter(|t| t.holds(new.first)) {
        if !outer.holds(new.last) {
            bail!("loops of the machine code overlap");
        }
        return put(outer, new);
    }
    into.inner.push(new);
    Ok(())
}

/// What a loop inside a body costs per entry, and the multiply-adds that the algorithm needs of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) count: Count,
    /// Whether it is entered at all; a way that passes it by is as good if not.
    pub(super) entered: bool,
    pub(super) needed: f64,
}

/// What a way through a body issues.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Issued {
    /// All of it.
    pub(super) all: Count,
    /// What is not in inner loops.
    pub(super) own: Count,
}

/// The two ways through a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways {
    /// The cheapest that does the work: enough multiplications, and as many of the inner loops that are entered as any way has.
    pub(super) cheapest: Issued,
    /// The dearest.
    pub(super) dearest: Issued,
}

/// A way from the first block to somewhere.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// Multiplications, no more than are needed.
    useful: f64,
    /// Inner loops passed.
    passed: usize,
    issued: Issued,
}

impl Issued {
    fn and(self, count: Count, is_own: bool) -> Self {
        let own = if is_own { self.own + count } else { self.own };
        Self { all: self.all + count, own }
    }
}

/// A place in a body: a block, or an inner loop as a whole.
enum Place<'a> {
    Block(usize),
    Inner(usize, &'a Tree),
}

fn places(tree: &Tree) -> Vec<Place<'_>> {
    let mut all = Vec::new();
    let mut at = tree.first;
    while at <= tree.last {
        match tree.inner.iter().enumerate().find(|(_, t)| t.first == at) {
            Some((n, inner)) => {
                all.push(Place::Inner(n, inner));
                at = inner.last + 1;
            }
            None => {
                all.push(Place::Block(at));
                at += 1;
            }
        }
    }
    all
}

/// Blocks that control may reach next from a place. A branch that is taken only if no lane has work is not taken.
fn onward(blocks: &[Block], place: &Place<'_>) -> Vec<usize> {
    match *place {
        Place::Block(at) => match blocks[at].jump {
            Jump::Divergent(to) if to > at => vec![at + 1],
            _ => successors(blocks, at),
        },
        Place::Inner(_, t) => {
            let mut to: Vec<_> = (t.first..=t.last).flat_map(|at| successors(blocks, at)).collect();
            to.retain(|&b| !t.holds(b));
            to.sort_unstable();
            to.dedup();
            to
        }
    }
}

/// Adds a way to those that reach a place, unless another is better in everything; drops those that it beats.
fn keep(ways: &mut Vec<Way>, new: Way) {
    let beats =
        |a: &Way, b: &Way| a.useful >= b.useful && a.passed >= b.passed && a.issued.all.issued <= b.issued.all.issued;
    if !ways.iter().any(|w| beats(w, &new)) {
        ways.retain(|w| !beats(&new, w));
        ways.push(new);
    }
}

/// The cheapest and the dearest way through a loop's body, once. `costs` are those of its inner loops, in order; `needed` is how many
/// multiply-adds a trip must make. `None` if no way makes so many.
pub(super) fn ways(blocks: &[Block], tree: &Tree, costs: &[Cost], needed: f64) -> Option<Ways> {
    let places = places(tree);
    let start = |place: &Place<'_>| match *place {
        Place::Block(at) => at,
        Place::Inner(_, t) => t.first,
    };
    let mut cheap: Vec<Vec<Way>> = vec![Vec::new(); places.len()];
    let mut dear: Vec<Option<Issued>> = vec![None; places.len()];
    let (mut cheap_ends, mut dear_end) = (Vec::new(), None);
    let dearer = |a: Option<Issued>, b: Issued| match a {
        Some(a) if a.all.issued >= b.all.issued => Some(a),
        _ => Some(b),
    };
    cheap[0] = vec![Way::default()];
    dear[0] = Some(Issued::default());
    for (at, place) in places.iter().enumerate() {
        let Some(so_far) = dear[at] else { continue };
        let (count, useful, is_own) = match *place {
            Place::Block(b) => (blocks[b].count, blocks[b].count.multiplying(), true),
            Place::Inner(n, _) => (costs[n].count, costs[n].needed, false),
        };
        let passed = match *place {
            Place::Inner(n, _) => usize::from(costs[n].entered),
            Place::Block(_) => 0,
        };
        let here: Vec<_> = cheap[at]
            .iter()
            .map(|w| Way {
                useful: (w.useful + useful).min(needed),
                passed: w.passed + passed,
                issued: w.issued.and(count, is_own),
            })
            .collect();
        let so_far = so_far.and(count, is_own);
        let next = onward(blocks, place);
        // A trip ends where control goes back to the first block; the program, where it ends.
        let ends = next.contains(&tree.first) || matches!(*place, Place::Block(b) if blocks[b].jump == Jump::End);
        if ends {
            here.iter().for_each(|&w| keep(&mut cheap_ends, w));
            dear_end = dearer(dear_end, so_far);
        }
        for to in next.into_iter().filter(|&to| to > start(place) && to <= tree.last) {
            let Some(to) = places.iter().position(|p| start(p) == to) else { continue };
            here.iter().for_each(|&w| keep(&mut cheap[to], w));
            dear[to] = dearer(dear[to], so_far);
        }
    }
    let passed = cheap_ends.iter().map(|w| w.passed).max()?;
    let done = |w: &&Way| w.passed == passed && w.useful >= needed - 1e-6;
    let cheapest =
        cheap_ends.iter().filter(done).min_by(|a, b| a.issued.all.issued.total_cmp(&b.issued.all.issued))?.issued;
    Some(Ways { cheapest, dearest: dear_end? })
}

/// Most multiplications on a way through a body, its inner loops left out.
pub(super) fn most_multiplications(blocks: &[Block], tree: &Tree) -> f64 {
    let mut most: Vec<Option<f64>> = vec![None; blocks.len() + 1];
    most[tree.first] = Some(0.0);
    let mut found = 0.0f64;
    for place in places(tree) {
        let (at, own) = match place {
            Place::Block(b) => (b, blocks[b].count.multiplying()),
            Place::Inner(_, t) => (t.first, 0.0),
        };
        let Some(so_far) = most[at] else { continue };
        found = found.max(so_far + own);
        for to in onward(blocks, &place).into_iter().filter(|&to| to > at && to <= tree.last) {
            most[to] = Some(most[to].unwrap_or(0.0).max(so_far + own));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::listing::parse;
    use super::*;

    /// Two nested loops; the outer one has a uniform choice between a short and a long block.
    pub(super) const NESTED: &str = "BB0:\n\ts_mov_b32 s0, 0\nBB1:\n\ts_cmp_lt_u32 s0, s1\n\ts_cbranch_scc0 BB9\nBB2:\n\
        \tv_fmac_f32_e32 v0, v1, v2\n\ts_cbranch_scc1 BB2\nBB3:\n\ts_cbranch_scc0 BB5\nBB4:\n\tv_max_f32_e32 v0, v0, v1\n\
        \tv_max_f32_e32 v0, v0, v2\nBB5:\n\ts_cbranch_execz BB6\n\tv_mov_b32_e32 v3, v4\nBB6:\n\ts_branch BB1\nBB9:\n\ts_endpgm\n";

    #[test]
    fn loops_nest() {
        let blocks = parse(NESTED, 64).unwrap();
        let tree = loops(&blocks).unwrap();
        assert_eq!(tree.inner.len(), 1);
        assert_eq!(tree.inner[0].inner.len(), 1);
        assert_eq!(blocks[tree.inner[0].inner[0].first].count.mul_adds, 1.0);
    }

    #[test]
    fn a_uniform_choice_has_two_ways_and_a_divergent_one_is_gone_through() {
        let blocks = parse(NESTED, 64).unwrap();
        let tree = &loops(&blocks).unwrap().inner[0];
        let inner = Cost { count: Count { issued: 100.0, ..Count::default() }, entered: true, needed: 50.0 };
        let found = ways(&blocks, tree, &[inner], 50.0).unwrap();
        // Compare, branch, loop, branch, (two maxima), branch, move, branch.
        assert_eq!(found.cheapest.all.issued, 106.0);
        assert_eq!(found.dearest.all.issued, 108.0);
        assert!(ways(&blocks, tree, &[inner], 51.0).is_none());
        assert_eq!(most_multiplications(&blocks, &tree.inner[0]), 1.0);
    }
}
