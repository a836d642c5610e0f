//! Cases of top-k.

use gatefold_core::{Dtype, Tensor, Tensors, TopK};

use crate::Case;
use crate::case::{VARIED, edge};
use crate::data::{Family, Rng};

/// Rows, columns and k: one column, all columns, powers of two and their neighbours, what a workgroup sorts and what it does not, what is wanted of long
/// rows but not sorted by one workgroup.
const SIZES: [(usize, usize, usize); 26] = [
    (0, 5, 2),
    (1, 1, 1),
    (300, 1, 1),
    (7, 2, 1),
    (64, 2, 2),
    (100, 7, 3),
    (22, 8, 8),
    (65, 31, 2),
    (64, 32, 8),
    (33, 100, 1),
    (20, 100, 100),
    (5, 255, 17),
    (5, 256, 64),
    (5, 257, 257),
    (3, 1000, 50),
    (2, 1024, 1024),
    (3, 2048, 8),
    (2, 2049, 5),
    (3, 4096, 64),
    (1, 4097, 4097),
    (2, 5000, 2500),
    (1, 8200, 1),
    (2, 9001, 700),
    (1, 16_384, 1000),
    (1, 12_345, 6000),
    (1, 32_768, 40),
];

const HALVES: u64 = 2 * SIZES.len() as u64;
const SPECIAL: u64 = 14;
const TIES: u64 = 14;
pub(super) const PLANNED: u64 = HALVES + SPECIAL + TIES;

fn planned(seed: u64) -> Option<(TopK, String)> {
    let at = edge(seed, PLANNED)?;
    let (rest, halves) = ((seed % VARIED).saturating_sub(HALVES), 2 * SIZES.len());
    let size = |at: usize| {
        let (rows, cols, k) = SIZES[at % SIZES.len()];
        TopK::new(rows, cols, k)
    };
    if at < halves {
        // every size, the largest in one type and the smallest in the other
        let other = (at + at / SIZES.len()) % 2 == 1;
        let dtype = if at % 2 == 1 { Dtype::F16 } else { Dtype::F32 };
        let op = TopK { largest: !other, dtype, ..size(at) };
        return Some((op.clone(), format!("{} of {}", op.k, op.cols)));
    }
    let dtype = if rest % 3 == 2 { Dtype::F16 } else { Dtype::F32 };
    let note = if rest < SPECIAL { "special values" } else { "ties" };
    let at = at + (if rest < SPECIAL { 8 } else { 2 });
    Some((TopK { largest: rest.is_multiple_of(2), dtype, ..size(at) }, note.into()))
}

/// The case of a seed.
pub(super) fn drawn(seed: u64) -> Case<TopK> {
    let planned = planned(seed);
    let ties = planned.as_ref().is_some_and(|(_, note)| note == "ties");
    Case::drawn((seed, 0x70b5), planned, random, 20, |rng, op, special| inputs(rng, op, special, ties))
}

fn random(rng: &mut Rng) -> TopK {
    let cols = rng.pick(&[1, 3, 8, 17, 64, 100, 129, 300, 512, 777, 1500, 2048, 3000, 5000, 10_000]);
    let most = (20_000 / cols).clamp(1, 200);
    let all = [1, 2, 8, 40, cols / 3, cols / 2, cols];
    TopK {
        rows: 1 + rng.below(most),
        cols,
        k: rng.pick(&all).clamp(1, cols),
        largest: rng.chance(60),
        dtype: if rng.chance(30) { Dtype::F16 } else { Dtype::F32 },
    }
}

/// Ordinary numbers, or few different ones; if `special`, some are not finite, not normal, or zero of either sign.
fn inputs(rng: &mut Rng, op: &TopK, special: bool, ties: bool) -> Tensors {
    let families = [Family::Normal(1.0), Family::Normal(1000.0), Family::Uniform, Family::Integers, Family::Equal];
    let family = match (ties, special) {
        (true, _) => Family::Integers,
        (_, true) => rng.pick(&[families[0], families[3]]),
        _ => rng.pick(&families),
    };
    let mut numbers = family.fill(rng, op.rows, op.cols);
    if special {
        let rare =
            [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-41, -1e-41, 3e-7, -3e-7, 3.0e38];
        let percent = rng.pick(&[2, 20, 70]);
        numbers.iter_mut().for_each(|x| *x = if rng.chance(percent) { rng.pick(&rare) } else { *x });
    }
    Tensors::new().with("x", Tensor::float(op.dtype, [op.rows, op.cols], numbers).expect("a number an element"))
}
