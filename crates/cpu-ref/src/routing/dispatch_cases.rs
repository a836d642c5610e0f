//! Cases of the ops that move rows between tokens and experts: sizes, plans, contents.

use gatefold_core::routing::NO_ROW;
use gatefold_core::{Dtype, Op, Operand, Tensor, Tensors};

use crate::Case;
use crate::case::edge;
use crate::data::{Family, Rng};

/// Tokens, experts of a token, width, rows.
pub(super) type Sizes = [usize; 4];

/// Rows as many as assignments, fewer (dropped), more (padded); widths that are multiples of 4 and that are not; none of each.
const SIZES: [Sizes; 15] = [
    [0, 2, 8, 5],
    [1, 1, 1, 1],
    [7, 2, 3, 0],
    [1, 8, 4, 8],
    [7, 2, 16, 20],
    [22, 6, 64, 132],
    [64, 4, 5, 300],
    [64, 1, 260, 64],
    [100, 2, 130, 150],
    [3, 3, 4096, 12],
    [2, 2, 5003, 4],
    [512, 2, 34, 1100],
    [16, 64, 7, 1024],
    [5, 4, 257, 64],
    [40, 8, 128, 512],
];

/// Planned cases of an op: all sizes in both types, with an option and without it.
pub(super) const PLANNED: u64 = 4 * SIZES.len() as u64;

/// Sizes, storage type, an option of the op, and what is special.
pub(super) fn planned(seed: u64) -> Option<(Sizes, Dtype, bool, String)> {
    let at = edge(seed, PLANNED)?;
    let sizes = SIZES[at % SIZES.len()];
    let round = at / SIZES.len();
    let dtype = if round.is_multiple_of(2) { Dtype::F32 } else { Dtype::F16 };
    let special = if at % 3 == round % 3 { ", special values" } else { "" };
    let [tokens, top_k, _, rows] = sizes;
    Some((sizes, dtype, round % 4 < 2, format!("{rows} rows for {} assignments{special}", tokens * top_k)))
}

/// Sizes and storage type of a random case.
pub(super) fn random(rng: &mut Rng) -> (Sizes, Dtype) {
    let top_k: usize = rng.pick(&[1, 1, 2, 2, 3, 4, 6, 8, 8, 22, 64]);
    let tokens: usize = rng.pick(&[1, 2, 7, 22, 64, 100, 333, 512]).min(1200 / top_k);
    let assignments = tokens * top_k;
    let rows = match rng.below(4) {
        0 => assignments,
        1 => assignments - assignments / 3,
        2 => assignments.next_multiple_of(8) + 8 * rng.below(6),
        _ => assignments.next_multiple_of(64),
    };
    let most = 120_000 / (assignments + rows);
    let hidden = rng.pick(&[1, 2, 3, 4, 7, 8, 16, 30, 31, 64, 100, 128, 129, 256, 512, 770, 2048]);
    let dtype = if rng.chance(30) { Dtype::F16 } else { Dtype::F32 };
    ([tokens, top_k, hidden.min(most.max(1)), rows], dtype)
}

/// Some of the assignments, each in a row of its own: `permutation` and `inverse`.
pub(super) fn lists(rng: &mut Rng, [tokens, top_k, _, rows]: Sizes) -> (Vec<u32>, Vec<u32>) {
    let mut shuffled = |n: usize| {
        let mut all: Vec<usize> = (0..n).collect();
        for at in (1..n).rev() {
            all.swap(at, rng.below(at + 1));
        }
        all
    };
    let (assignments, places) = (shuffled(tokens * top_k), shuffled(rows));
    let dropped = rng.pick(&[0, 0, 5]);
    let (mut permutation, mut inverse) = (vec![NO_ROW; rows], vec![NO_ROW; tokens * top_k]);
    for (&assignment, &row) in assignments.iter().zip(&places) {
        if !rng.chance(dropped) {
            permutation[row] = u32::try_from(assignment).unwrap_or(NO_ROW);
            inverse[assignment] = u32::try_from(row).unwrap_or(NO_ROW);
        }
    }
    (permutation, inverse)
}

/// Numbers with some that are not finite.
pub(super) fn numbers(rng: &mut Rng, count: usize, special: bool) -> Vec<f32> {
    let spread = rng.pick(&[0.1, 1.0, 10.0]);
    let mut all = Family::Normal(spread).fill(rng, count, 1);
    if special {
        let picks = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        all.iter_mut().for_each(|x| *x = if rng.chance(2) { rng.pick(&picks) } else { *x });
    }
    all
}

/// Inputs of an op. If `special`, some numbers are not finite, and so is every weight of an assignment without a row.
pub(super) fn inputs(rng: &mut Rng, operands: &[Operand], sizes: Sizes, special: bool) -> Tensors {
    let (permutation, inverse) = lists(rng, sizes);
    let mut all = Tensors::new();
    for o in operands.iter().filter(|o| o.role.is_given()) {
        let made = match o.name {
            "permutation" => Tensor::u32(o.dims.clone(), permutation.clone()),
            "inverse" => Tensor::u32(o.dims.clone(), inverse.clone()),
            name => {
                let mut numbers = numbers(rng, o.len(), special);
                if special && name == "weights" {
                    let without = numbers.iter_mut().zip(&inverse).filter(|(_, row)| **row == NO_ROW);
                    without.for_each(|(w, _)| *w = f32::NAN);
                }
                Tensor::float(o.dtype, o.dims.clone(), numbers)
            }
        };
        all.insert(o.name, made.expect("as many numbers as the shape says"));
    }
    all
}

/// The case, noted as one that may say little if many rows or slots are empty by design.
pub(super) fn noted<O: Op>(case: Case<O>, sizes: impl Fn(&O) -> Sizes) -> Case<O> {
    let [tokens, top_k, _, rows] = sizes(&case.op);
    if rows != tokens * top_k && !case.is_degenerate() { case.degenerate() } else { case }
}
