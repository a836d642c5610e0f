//! The cases of matrix products.

use gatefold_core::{Dtype, Gemm, Op, Role, Tensor, Tensors};

use crate::Case;
use crate::case::{HALVES, VARIED, edge, near};
use crate::data::{Family, Rng};

const SALT: u64 = 0x6666;

/// Every planned shape in every layout, then the special contents.
pub(crate) const PLANNED: u64 = (SHAPES.len() * 4 + SPECIAL) as u64;

const SPECIAL: usize = 16;

/// Batch, m, n, k: empty, one, the edges of every tile and one beyond, primes, long sums, many small products.
const SHAPES: [(usize, usize, usize, usize); 21] = [
    (1, 1, 1, 1),
    (1, 5, 7, 0),
    (0, 3, 4, 5),
    (2, 0, 5, 3),
    (2, 6, 0, 3),
    (1, 16, 64, 16),
    (1, 15, 63, 15),
    (1, 17, 65, 17),
    (1, 64, 64, 64),
    (1, 63, 65, 31),
    (1, 65, 63, 33),
    (1, 128, 128, 16),
    (1, 127, 129, 15),
    (1, 129, 132, 20),
    (1, 1, 257, 64),
    (1, 260, 1, 64),
    (1, 1, 1, 4099),
    (1, 3, 4, 20_000),
    (3, 31, 37, 41),
    (70, 5, 7, 9),
    (5, 36, 68, 12),
];

/// Sizes that vec4 access can take, and sizes that it cannot.
const ALIGNED: [usize; 9] = [4, 8, 12, 16, 36, 64, 68, 100, 132];
const ODD: [usize; 11] = [1, 2, 3, 7, 13, 17, 31, 33, 63, 65, 101];

/// Elements that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// A NaN in `a`.
    NanA,
    /// A NaN in `b`.
    NanB,
    /// Infinities of both signs in both, and zeros.
    Infinity,
    /// A NaN in the last element of either, next to what padding reads.
    NanLast,
    /// A NaN and an infinity in the bias.
    Bias,
}

/// A spec and how its inputs are to be drawn.
struct Draw {
    op: Gemm,
    family: Family,
    plant: Option<Plant>,
    note: String,
}

fn with_layout(op: Gemm, layout: usize) -> Gemm {
    Gemm { transpose_a: layout & 2 != 0, transpose_b: layout & 1 != 0, ..op }
}

fn planned(seed: u64) -> Option<Draw> {
    let at = edge(seed, PLANNED)?;
    let ordinary = |op: Gemm, note: &str| Draw { op, family: Family::Normal(1.0), plant: None, note: note.into() };
    if let Some(&(batch, m, n, k)) = SHAPES.get(at / 4) {
        let op = Gemm {
            batch,
            shared_a: batch > 1 && at % 8 == 5,
            shared_b: batch > 1 && at.is_multiple_of(3),
            bias: at.is_multiple_of(2),
            ..Gemm::new(m, n, k)
        };
        return Some(ordinary(with_layout(op, at), if k == 0 { "no terms; degenerate" } else { "" }));
    }
    let base = with_layout(Gemm { batch: 2, bias: true, ..Gemm::new(33, 36, 40) }, at);
    let plant =
        |plant, op: &Gemm| Draw { plant: Some(plant), ..ordinary(op.clone(), &format!("{plant:?}; degenerate")) };
    let family =
        |family: Family, op: &Gemm| Draw { family, ..ordinary(op.clone(), &format!("{family:?}; degenerate")) };
    Some(match at - SHAPES.len() * 4 {
        0 => plant(Plant::NanA, &base),
        1 => plant(Plant::NanB, &base),
        2 => plant(Plant::Infinity, &base),
        3 => plant(Plant::Bias, &base),
        4 => plant(Plant::NanLast, &Gemm { shared_a: true, bias: false, ..base }),
        5 => plant(Plant::NanLast, &Gemm { m: 17, n: 19, k: 23, ..base }),
        6 => family(Family::Cancelling, &base),
        7 => family(Family::Denormal, &base),
        8 => family(Family::Spike(1e30), &base),
        9 => ordinary(Gemm { alpha: -0.125, ..base }, "alpha"),
        10 => ordinary(Gemm { alpha: 0.0, ..base }, "alpha 0"),
        11 => ordinary(Gemm { alpha: 0.0, bias: false, ..base }, "alpha 0; degenerate"),
        12 => ordinary(Gemm { dtype: Dtype::F16, ..base }, ""),
        13 => ordinary(Gemm { dtype: Dtype::F16, m: 21, n: 27, k: 35, ..base }, ""),
        14 => family(Family::Normal(200.0), &Gemm { dtype: Dtype::F16, ..base }),
        _ => ordinary(Gemm { shared_a: true, shared_b: true, ..base }, ""),
    })
}

fn random(rng: &mut Rng) -> Draw {
    let is_aligned = rng.chance(50);
    let size = |rng: &mut Rng| match (is_aligned, rng.below(12)) {
        (true, 0) => 4 * (1 + rng.below(60)),
        (true, _) => rng.pick(&ALIGNED),
        (false, 0) => 1 + rng.below(250),
        (false, 1) => rng.pick(&ALIGNED),
        (false, _) => rng.pick(&ODD),
    };
    let (mut m, n, mut k) = (size(rng), size(rng), size(rng));
    if rng.chance(5) {
        k = if is_aligned { 4 * (500 + rng.below(2_000)) } else { 2_000 + rng.below(8_000) };
    }
    let layout = rng.below(4);
    let batch = if rng.chance(60) { 1 } else { rng.pick(&[2, 3, 5]) };
    // Few kernels for what is rare: a software driver takes a second to compile one.
    let is_plain = layout == usize::from(!is_aligned);
    let dtype = if is_plain && rng.chance(70) { Dtype::F16 } else { Dtype::F32 };
    // Products of ordinary size: the reference takes its time too.
    while m > 4 && batch * m * n * k > 3_000_000 {
        m = (m / 2).next_multiple_of(if is_aligned { 4 } else { 1 });
    }
    let op = Gemm {
        batch,
        alpha: if rng.chance(70) { 1.0 } else { rng.pick(&[0.125, -2.5, 0.3, 0.0]) },
        shared_a: rng.chance(25),
        shared_b: rng.chance(25),
        bias: rng.chance(40),
        dtype,
        ..with_layout(Gemm::new(m, n, k), layout)
    };
    let family = match rng.below(20) {
        0 => Family::Equal,
        1 => Family::Zero,
        2 => Family::OneHot,
        3 => Family::Alternating,
        4 => Family::Cancelling,
        5 => Family::Integers,
        6 => Family::Denormal,
        7 => Family::Normal(100.0),
        8..12 => Family::Uniform,
        _ => Family::Normal(1.0),
    };
    let plant = match rng.below(40) {
        0 => Some(Plant::NanA),
        1 => Some(Plant::NanB),
        2 => Some(Plant::NanLast),
        // An infinity times a number that may be flushed to 0 has no one result.
        3 if family != Family::Denormal && op.dtype == Dtype::F32 => Some(Plant::Infinity),
        4 if op.bias => Some(Plant::Bias),
        _ => None,
    };
    let mut words: Vec<String> = Vec::new();
    words.extend((family != Family::Normal(1.0)).then(|| format!("{family:?}")));
    words.extend(plant.map(|p| format!("{p:?}")));
    let special = plant.is_some() || op.alpha == 0.0 || !matches!(family, Family::Normal(1.0) | Family::Uniform);
    words.extend((special || op.dtype == Dtype::F16).then(|| "may be degenerate".into()));
    Draw { op, family, plant, note: words.join("; ") }
}

/// Puts `values` at random places of `x`.
fn scatter(rng: &mut Rng, x: &mut [f32], values: &[f32]) {
    for &value in values {
        let at = rng.below(x.len());
        x.iter_mut().skip(at).take(1).for_each(|x| *x = value);
    }
}

fn plant(rng: &mut Rng, plant: Plant, name: &str, x: &mut [f32]) {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    match (plant, name) {
        (Plant::NanA, "a") | (Plant::NanB, "b") => scatter(rng, x, &[nan]),
        (Plant::Infinity, "a") => scatter(rng, x, &[infinity, -infinity, 0.0, 0.0]),
        (Plant::Infinity, "b") => scatter(rng, x, &[0.0, infinity, 0.0, -infinity]),
        (Plant::NanLast, "a" | "b") => x.iter_mut().rev().take(1).for_each(|x| *x = nan),
        (Plant::Bias, "bias") => scatter(rng, x, &[nan, -infinity]),
        _ => {}
    }
}

/// The same product in f16. Infinities stay those that are planted: what f16 cannot hold would be one more. Where small products are many, they
/// are larger and more, so that the largest tiles of matrix units are reached.
fn halved(draw: Draw) -> Draw {
    let family = if matches!(draw.family, Family::Spike(_)) { Family::Normal(1.0) } else { draw.family };
    let mut op = Gemm { dtype: Dtype::F16, ..draw.op };
    if op.batch > 64 {
        op = Gemm { batch: 2 * op.batch, m: 33, n: 36, k: 44, ..op };
    }
    Draw { op, family, ..draw }
}

/// Case `seed`. From [`HALVES`] on: the cases from 0 on in f16.
pub(crate) fn case(seed: u64) -> Case<Gemm> {
    let mut rng = Rng::new(seed, SALT);
    let mut draw = planned(seed % HALVES).unwrap_or_else(|| random(&mut rng));
    if seed >= VARIED {
        let Gemm { m, n, k, .. } = draw.op;
        (draw.op.m, draw.op.n, draw.op.k) = (near(&mut rng, m), near(&mut rng, n), near(&mut rng, k));
    }
    if seed % VARIED >= HALVES {
        draw = halved(draw);
    }
    let mut inputs = Tensors::new();
    for o in draw.op.operands().into_iter().filter(|o| o.role == Role::Input) {
        let family = if o.name == "bias" { Family::Normal(1.0) } else { draw.family };
        let width = o.dims.last().copied().unwrap_or(1);
        let rows = o.len().checked_div(width).unwrap_or(0);
        let mut numbers = family.fill(&mut rng, rows, width);
        if let Some(p) = draw.plant {
            plant(&mut rng, p, o.name, &mut numbers);
        }
        let tensor = Tensor::float(o.dtype, o.dims, numbers).expect("as many numbers as the shape says");
        inputs.insert(o.name, tensor);
    }
    Case { seed, op: draw.op, inputs, note: draw.note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_legal() {
        for seed in (0..500).chain(HALVES..HALVES + 500) {
            let case = case(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("{seed}: {e}"));
        }
    }
}
