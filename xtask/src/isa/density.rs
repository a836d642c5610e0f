//! Figures of a variant: its loops, weighed with the plan's trips.

use anyhow::{Result, anyhow, bail};
use gatefold_shaders::Loop;
use serde::{Deserialize, Serialize};

use super::align::{Lean, Matched, align};
use super::flow::{Cost, loops, ways};
use super::listing::{Block, Count};

/// A loop of the machine code: what one trip issues in it, its inner loops left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoopFigures {
    /// As the plan names it: function and variable.
    pub(crate) name: String,
    /// How deep it lies in other loops.
    pub(crate) depth: usize,
    /// Trips in all, those of the loops around it multiplied in.
    pub(crate) trips: f64,
    /// Multiply-adds that the algorithm needs in a trip.
    pub(crate) needed: f64,
    /// What a trip issues, edge tiles at their share.
    pub(crate) trip: Count,
    /// Blocks of the machine code, first and last.
    pub(crate) blocks: (usize, usize),
}

/// What a variant costs a lane at a plan's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Everything that is issued.
    pub(crate) all: Count,
    /// Multiply-adds that the algorithm needs.
    pub(crate) needed: f64,
    /// Loops in program order, the program itself first.
    pub(crate) loops: Vec<LoopFigures>,
}

impl Figures {
    /// Multiply-adds of a lane that one instruction makes where it does the most useful work: those of a matrix operation, or 1.
    fn most_useful(&self) -> f64 {
        let Count { matrix, matrix_mul_adds, .. } = self.all;
        if matrix > 0.0 { matrix_mul_adds / matrix } else { 1.0 }
    }

    fn density_of(&self, instructions: f64) -> Option<f64> {
        (self.needed > 0.0).then(|| 100.0 * self.needed / self.most_useful() / instructions.max(1.0))
    }

    /// Useful density: instructions that the needed multiply-adds take ÷ instructions that are issued, in percent. `None` where none are
    /// needed. Such an instruction is a multiply-add; with matrix units, a matrix operation.
    pub(crate) fn density(&self) -> Option<f64> {
        self.density_of(self.all.issued)
    }

    /// The same among vector instructions only.
    pub(crate) fn valu_density(&self) -> Option<f64> {
        self.density_of(self.all.valu)
    }
}

/// Cheap and dear mixed in the ratio of edge tiles.
fn mixed(edge: f64, cheap: Count, dear: Count) -> Count {
    cheap.times(1.0 - edge) + dear.times(edge)
}

/// A loop's cost each time it is entered; its figures and those of its inner loops are appended.
fn weigh(blocks: &[Block], of: &Matched<'_>, depth: usize, outer: f64, found: &mut Vec<LoopFigures>) -> Option<Cost> {
    let trips = outer * of.trips;
    let at = found.len();
    found.push(LoopFigures {
        name: of.name.into(),
        depth,
        trips,
        needed: of.mul_adds,
        trip: Count::default(),
        blocks: (of.tree.first, of.tree.last),
    });
    let inner = of.inner.iter().map(|i| weigh(blocks, i, depth + 1, trips, found)).collect::<Option<Vec<_>>>()?;
    let needed = of.mul_adds + inner.iter().map(|i| i.needed).sum::<f64>();
    let whole = ways(blocks, of.tree, &inner, needed)?;
    found[at].trip = mixed(of.edge, whole.cheapest.own, whole.dearest.own);
    let trip = mixed(of.edge, whole.cheapest.all, whole.dearest.all);
    Some(Cost { count: trip.times(of.trips), entered: of.trips > 0.0, needed: needed * of.trips })
}

/// Share of what is issued that may depend on which of two equal matches is taken.
const DOUBT: f64 = 0.005;

/// Weighs a program against its plan.
///
/// # Errors
/// If its loops do not match the plan's, or match in two ways that differ in what they cost.
pub(super) fn figures(blocks: &[Block], plan: &[Loop], workgroup: u32, lds: u64) -> Result<Figures> {
    let tree = loops(blocks)?;
    let one = |lean| {
        // The driver's loop stores 16 bytes an invocation.
        let clears = (16.0 * f64::from(workgroup), lds as f64);
        let matched = align(blocks, &tree, plan, clears, lean)?;
        let mut found = Vec::new();
        let cost = weigh(blocks, &matched, 0, 1.0, &mut found)
            .ok_or_else(|| anyhow!("loops do not match the plan: no way through them does the work"))?;
        Ok::<_, anyhow::Error>(Figures { all: cost.count, needed: cost.needed, loops: found })
    };
    let (short, long) = (one(Lean::Short)?, one(Lean::Long)?);
    let (a, b) = (short.all.issued, long.all.issued);
    if (a - b).abs() > DOUBT * a {
        bail!("loops match the plan in two ways, with {a:.0} and {b:.0} instructions");
    }
    Ok(short)
}

#[cfg(test)]
mod tests {
    use super::super::listing::parse;
    use super::*;

    #[test]
    fn loops_are_weighed_with_their_trips() {
        // outer { 2 + choice of 1 or 3; inner { 2 multiply-adds, 1 branch } }
        let text = "BB0:\n\ts_mov_b32 s0, 0\nBB1:\n\tv_mov_b32_e32 v0, v1\n\ts_cbranch_scc0 BB3\nBB2:\n\tv_mov_b32_e32 v0, v1\n\
            \tv_mov_b32_e32 v0, v1\nBB3:\n\tv_fmac_f32_e32 v0, v1, v2\n\tv_fmac_f32_e32 v0, v1, v2\n\ts_cbranch_scc1 BB3\nBB4:\n\
            \ts_cbranch_scc1 BB1\nBB5:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let inner = Loop { mul_adds: 2, ..Loop::new("inner", 10.0) };
        let plan = [Loop { edge: 0.5, inner: vec![inner], ..Loop::new("outer", 4.0) }];
        let found = figures(&blocks, &plan, 64, 0).unwrap();
        assert_eq!(found.needed, 80.0);
        // A move, 4 × (move, branch, on average one more move, 10 × 3, branch), the end.
        assert_eq!(found.all.issued, 1.0 + 4.0 * (2.0 + 1.0 + 30.0 + 1.0) + 1.0);
        assert_eq!(found.loops.iter().map(|l| l.trips).collect::<Vec<_>>(), [1.0, 4.0, 40.0]);
        assert_eq!(found.loops[1].trip.issued, 4.0);
    }

    #[test]
    fn with_matrix_units_density_is_the_share_of_their_operations() {
        let text = "BB0:\n\tv_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]\n\tv_fmac_f32_e32 v0, v1, v2\n\
            \ts_cbranch_scc1 BB0\nBB1:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let plan = |mul_adds| [Loop { mul_adds, ..Loop::new("all", 33.0) }];
        let density = |mul_adds| figures(&blocks, &plan(mul_adds), 64, 0).unwrap().density().unwrap();
        assert_eq!((density(64), density(32)), (33.0, 16.5));
    }

    #[test]
    fn a_loop_that_is_not_entered_is_passed_by() {
        // outer { choice of inner { 1 move } or nothing }
        let text = "BB0:\n\ts_mov_b32 s0, 0\nBB1:\n\ts_cbranch_scc0 BB4\nBB2:\n\tv_mov_b32_e32 v0, v1\n\ts_cbranch_scc1 BB2\nBB3:\n\
            \tv_mov_b32_e32 v0, v1\nBB4:\n\ts_cbranch_scc1 BB1\nBB5:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let plan = |trips| [Loop { inner: vec![Loop::fixed("inner", trips)], ..Loop::new("outer", 1.0) }];
        let issued = |trips| figures(&blocks, &plan(trips), 64, 0).unwrap().all.issued;
        assert_eq!((issued(0.0), issued(3.0)), (4.0, 2.0 + 2.0 * 3.0 + 3.0));
    }

    #[test]
    fn two_matches_that_differ_are_refused() {
        let text = "BB0:\n\ts_nop 0\nBB1:\n\tds_load_b32 v0, v1\n\ts_cbranch_scc1 BB1\nBB2:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let plan = |a, b| [Loop::fixed("a", a), Loop::fixed("b", b)];
        let error = figures(&blocks, &plan(4.0, 9.0), 64, 0).unwrap_err().to_string();
        assert!(error.contains("in two ways, with 19 and 9"), "{error}");
        assert_eq!(figures(&blocks, &plan(4.0, 4.0), 64, 0).unwrap().all.issued, 9.0);
    }
}
