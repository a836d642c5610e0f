//! The cases of products by expert: how many rows each expert has, and what is in them.

use gatefold_core::{Dtype, GroupedGemm, GroupedGemmWeights, Op, Role, Tensor, Tensors};

use crate::Case;
use crate::case::{HALVES, VARIED, edge};
use crate::data::{Family, Rng};

const SALT: u64 = 0x6e0e;
const WEIGHTS_SALT: u64 = 0x6e0f;

/// Every planned size under two loads, then the special contents.
pub(super) const PLANNED: u64 = (2 * SIZES.len() + SPECIAL) as u64;

const SPECIAL: usize = 18;

/// Experts, rows, n, k: none, one, the edges of every tile and one beyond, primes, many experts of few rows, few of many.
const SIZES: [(usize, usize, usize, usize); 32] = [
    (1, 1, 1, 1),
    (1, 0, 3, 4),
    (3, 0, 4, 4),
    (1, 129, 65, 17),
    (1, 128, 64, 16),
    (2, 7, 5, 9),
    (2, 16, 64, 32),
    (2, 64, 64, 64),
    (2, 65, 63, 31),
    (2, 127, 4, 8),
    (2, 300, 132, 20),
    (2, 1030, 8, 12),
    (3, 33, 1, 64),
    (3, 96, 68, 36),
    (4, 256, 64, 16),
    (4, 255, 65, 15),
    (4, 1025, 33, 8),
    (5, 31, 37, 41),
    (7, 22, 16, 16),
    (7, 600, 12, 36),
    (8, 64, 36, 68),
    (8, 100, 129, 7),
    (8, 512, 32, 32),
    (8, 513, 31, 33),
    (8, 2100, 4, 4),
    (31, 64, 7, 5),
    (32, 200, 8, 8),
    (40, 512, 16, 12),
    (71, 22, 5, 3),
    (128, 300, 4, 8),
    (257, 512, 3, 2),
    (1024, 1100, 4, 4),
];

/// Sizes that vec4 access can take, and sizes that it cannot.
const ALIGNED: [usize; 8] = [4, 8, 16, 36, 64, 68, 100, 132];
const ODD: [usize; 10] = [1, 2, 3, 7, 13, 17, 31, 33, 65, 101];
const EXPERTS: [usize; 12] = [1, 2, 3, 4, 7, 8, 8, 16, 31, 32, 71, 160];
const ROWS: [usize; 16] = [1, 7, 22, 31, 32, 33, 63, 64, 65, 100, 127, 129, 256, 300, 512, 700];

/// How the rows are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// As evenly as they go.
    Even,
    /// Expert `e` has one row for every `e + 1`-th.
    Zipf,
    /// Anything; every third expert none.
    Ragged,
    /// All of them one expert's.
    One,
    /// Multiples of 16 but for what the last one lacks.
    Blocks,
    /// The last third has no expert.
    Tail,
    /// The first and the last quarter have none.
    Middle,
    /// No expert has any.
    Nobody,
}

const LOADS: [Load; 8] =
    [Load::Even, Load::Zipf, Load::Ragged, Load::One, Load::Tail, Load::Blocks, Load::Middle, Load::Nobody];

/// The offsets of `experts` that share `rows` by `weights`, from `first` on.
fn shared(first: usize, rows: usize, weights: &[f64]) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let mut offsets = vec![first];
    offsets.extend(weights.iter().map(|w| {
        sum += w;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to rows")]
        let share = (sum / total * rows as f64).round() as usize;
        first + share.min(rows)
    }));
    offsets
}

impl Load {
    fn offsets(self, rng: &mut Rng, experts: usize, rows: usize) -> Vec<u32> {
        let even = vec![1.0; experts];
        let all = match self {
            Self::Even => shared(0, rows, &even),
            Self::Zipf => shared(0, rows, &(0..experts).map(|e| 1.0 / (e + 1) as f64).collect::<Vec<_>>()),
            Self::Ragged | Self::Tail | Self::Middle => {
                let some = |e| if e % 3 == 1 { 0.0 } else { f64::from(rng.unit()) + 1e-3 };
                let weights: Vec<f64> = (0..experts).map(some).collect();
                let (first, used) = match self {
                    Self::Tail => (0, rows - rows / 3),
                    Self::Middle => (rows / 4, rows / 2),
                    _ => (0, rows),
                };
                shared(first, used, &weights)
            }
            Self::One => {
                let chosen = rng.below(experts);
                (0..=experts).map(|e| if e > chosen { rows } else { 0 }).collect()
            }
            Self::Blocks => {
                let offsets = shared(0, rows, &even);
                offsets.into_iter().map(|at| at.next_multiple_of(16).min(rows)).collect()
            }
            Self::Nobody => vec![rng.below(rows + 1); experts + 1],
        };
        all.into_iter().map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect()
    }
}

/// Elements that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// A NaN in `x`.
    NanX,
    /// A NaN in `w` or `d_y`.
    NanW,
    /// Infinities of both signs, and zeros, in all.
    Infinity,
    /// NaN in the first row of one expert, in the last of another, and in rows of none.
    NanEdges,
    /// A NaN and an infinity in the bias.
    Bias,
}

/// A spec and how its inputs are to be drawn.
struct Draw {
    op: GroupedGemm,
    load: Load,
    family: Family,
    plant: Option<Plant>,
    note: String,
}

fn planned(seed: u64) -> Option<Draw> {
    let at = edge(seed, PLANNED)?;
    let ordinary = |op: GroupedGemm, load: Load| Draw {
        op,
        load,
        family: Family::Normal(1.0),
        plant: None,
        note: format!("{load:?}"),
    };
    if let Some(&(experts, rows, n, k)) = SIZES.get(at / 2) {
        let (transpose_w, bias) = ((at / 2) % 2 == at % 2, at % 3 != 0);
        let op = GroupedGemm { transpose_w, bias, ..GroupedGemm::new(experts, rows, n, k) };
        return Some(ordinary(op, LOADS[(at / 2 + 3 * (at % 2)) % LOADS.len()]));
    }
    let base = GroupedGemm { bias: true, transpose_w: at % 2 == 0, ..GroupedGemm::new(4, 90, 36, 40) };
    let odd = GroupedGemm { rows: 101, n: 19, k: 23, ..base.clone() };
    let half = GroupedGemm { dtype: Dtype::F16, ..base.clone() };
    let plant = |plant, op: &GroupedGemm, load| {
        let draw = ordinary(op.clone(), load);
        Draw { plant: Some(plant), note: format!("{plant:?}, {load:?}; degenerate"), ..draw }
    };
    let family = |family: Family, op: &GroupedGemm| Draw {
        family,
        note: format!("{family:?}; degenerate"),
        ..ordinary(op.clone(), Load::Ragged)
    };
    Some(match at - 2 * SIZES.len() {
        0 => plant(Plant::NanX, &base, Load::Ragged),
        1 => plant(Plant::NanX, &odd, Load::Even),
        2 => plant(Plant::NanW, &base, Load::Ragged),
        3 => plant(Plant::NanW, &odd, Load::Even),
        4 => plant(Plant::Infinity, &base, Load::Tail),
        5 => plant(Plant::Infinity, &odd, Load::Even),
        6 => plant(Plant::NanEdges, &base, Load::Middle),
        7 => plant(Plant::NanEdges, &odd, Load::Tail),
        8 => plant(Plant::Bias, &base, Load::Middle),
        9 => plant(Plant::Bias, &odd, Load::Zipf),
        10 => family(Family::Cancelling, &base),
        11 => family(Family::Denormal, &base),
        12 => family(Family::Spike(1e30), &base),
        13 => ordinary(half, Load::Zipf),
        14 => ordinary(GroupedGemm { dtype: Dtype::F16, ..odd }, Load::Ragged),
        15 => ordinary(GroupedGemm { rows: 520, ..half }, Load::One),
        16 => Draw { family: Family::Normal(100.0), ..ordinary(half, Load::Blocks) },
        _ => plant(Plant::NanEdges, &half, Load::Tail),
    })
}

fn random(rng: &mut Rng) -> Draw {
    let is_aligned = rng.chance(50);
    let size = |rng: &mut Rng| match (is_aligned, rng.below(10)) {
        (true, 0) => 4 * (1 + rng.below(50)),
        (true, _) => rng.pick(&ALIGNED),
        (false, 0) => 1 + rng.below(200),
        (false, _) => rng.pick(&ODD),
    };
    let (mut n, mut k) = (size(rng), size(rng));
    let experts = if rng.chance(4) { rng.pick(&[256, 288, 512, 1024]) } else { rng.pick(&EXPERTS) };
    let mut rows = if rng.chance(10) { rng.below(3000) } else { rng.pick(&ROWS) };
    // Products and weights of ordinary size: the reference takes its time too.
    while n > 4 && k > 4 && experts * n * k > 600_000 {
        (n, k) = ((n / 2).next_multiple_of(4), (k / 2).next_multiple_of(4));
    }
    while rows > 8 && rows * n * k > 2_000_000 {
        rows /= 2;
    }
    // Few kernels for what is rare: a software driver takes a second to compile one.
    let transpose_w = rng.chance(50);
    let dtype = if transpose_w != is_aligned && rng.chance(60) { Dtype::F16 } else { Dtype::F32 };
    let op = GroupedGemm { transpose_w, bias: rng.chance(40), dtype, ..GroupedGemm::new(experts, rows, n, k) };
    let family = match rng.below(16) {
        0 => Family::Equal,
        1 => Family::Zero,
        2 => Family::OneHot,
        3 => Family::Alternating,
        4 => Family::Integers,
        5 => Family::Denormal,
        6..9 => Family::Uniform,
        _ => Family::Normal(1.0),
    };
    let plant = match rng.below(30) {
        0 => Some(Plant::NanX),
        1 => Some(Plant::NanW),
        2 => Some(Plant::NanEdges),
        // An infinity times a number that may be flushed to 0 has no one result.
        3 if family != Family::Denormal && op.dtype == Dtype::F32 => Some(Plant::Infinity),
        4 if op.bias => Some(Plant::Bias),
        _ => None,
    };
    let load = if rng.chance(4) { Load::Nobody } else { rng.pick(&LOADS) };
    let mut words = vec![format!("{load:?}")];
    words.extend((family != Family::Normal(1.0)).then(|| format!("{family:?}")));
    words.extend(plant.map(|p| format!("{p:?}")));
    let special = plant.is_some() || !matches!(family, Family::Normal(1.0) | Family::Uniform);
    words.extend((special || op.dtype == Dtype::F16).then(|| "may be degenerate".into()));
    Draw { op, load, family, plant, note: words.join("; ") }
}

/// The same product in f16. Infinities stay those that are planted: what f16 cannot hold would be one more.
fn halved(draw: Draw) -> Draw {
    let family = if matches!(draw.family, Family::Spike(_)) { Family::Normal(1.0) } else { draw.family };
    Draw { op: GroupedGemm { dtype: Dtype::F16, ..draw.op }, family, ..draw }
}

fn draw(seed: u64, rng: &mut Rng) -> Draw {
    let draw = planned(seed % HALVES).unwrap_or_else(|| random(rng));
    if seed % VARIED >= HALVES { halved(draw) } else { draw }
}

/// Puts `values` at random places of `x`.
fn scatter(rng: &mut Rng, x: &mut [f32], values: &[f32]) {
    for &value in values {
        let at = rng.below(x.len());
        x.iter_mut().skip(at).take(1).for_each(|x| *x = value);
    }
}

fn plant(rng: &mut Rng, plant: Plant, name: &str, offsets: &[u32], width: usize, x: &mut [f32]) {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    match (plant, name) {
        (Plant::NanX, "x") | (Plant::NanW, "w" | "d_y") => scatter(rng, x, &[nan]),
        (Plant::Infinity, "x") => scatter(rng, x, &[infinity, -infinity, 0.0, 0.0]),
        (Plant::Infinity, "w" | "d_y") => scatter(rng, x, &[0.0, infinity, 0.0, -infinity]),
        (Plant::NanEdges, "x" | "d_y") => {
            // before and after the rows of experts, and where the rows of two of them meet
            let edges = [offsets.first(), offsets.last(), offsets.get(offsets.len() / 2)].into_iter().flatten();
            for &edge in edges {
                let row = if rng.chance(50) { edge.saturating_sub(1) } else { edge } as usize;
                let column = rng.below(width);
                x.iter_mut().skip(row * width + column).take(1).for_each(|x| *x = nan);
            }
        }
        (Plant::Bias, "bias") => scatter(rng, x, &[nan, -infinity]),
        _ => {}
    }
}

fn inputs<O: Op>(rng: &mut Rng, op: &O, draw: &Draw) -> Tensors {
    let offsets = draw.load.offsets(rng, draw.op.experts, draw.op.rows);
    let mut inputs = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        if o.name == "offsets" {
            inputs.insert(o.name, Tensor::u32(o.dims, offsets.clone()).expect("one more than experts"));
            continue;
        }
        let family = if o.name == "bias" { Family::Normal(1.0) } else { draw.family };
        let width = o.dims.last().copied().unwrap_or(1);
        let mut numbers = family.fill(rng, o.len().checked_div(width).unwrap_or(0), width);
        if let Some(p) = draw.plant {
            plant(rng, p, o.name, &offsets, width, &mut numbers);
        }
        inputs.insert(o.name, Tensor::float(o.dtype, o.dims, numbers).expect("as many numbers as the shape says"));
    }
    inputs
}

/// The case, noted as degenerate if many of its outputs are 0 because `few` of what there is has a part in them.
fn case<O: Op>(seed: u64, op: O, inputs: Tensors, note: String, is_few: impl Fn(&[u32]) -> bool) -> Case<O> {
    let few = inputs.get("offsets").and_then(Tensor::as_u32).is_none_or(is_few);
    let case = Case { seed, op, inputs, note };
    if few && !case.is_degenerate() { case.degenerate() } else { case }
}

/// Case `seed` of the products. From [`HALVES`] on: the cases from 0 on in f16.
pub(super) fn forward(seed: u64) -> Case<GroupedGemm> {
    let mut rng = Rng::new(seed, SALT);
    let draw = draw(seed, &mut rng);
    let inputs = inputs(&mut rng, &draw.op, &draw);
    let rows = draw.op.rows;
    case(seed, draw.op, inputs, draw.note, |offsets| {
        let used = offsets.last().zip(offsets.first()).map_or(0, |(end, first)| end - first);
        4 * used as usize <= 3 * rows
    })
}

/// Case `seed` of the gradients of weights.
pub(super) fn weights(seed: u64) -> Case<GroupedGemmWeights> {
    let mut rng = Rng::new(seed, WEIGHTS_SALT);
    let draw = draw(seed, &mut rng);
    let op = draw.op.gradient_w();
    let inputs = inputs(&mut rng, &op, &draw);
    let experts = op.experts;
    case(seed, op, inputs, draw.note, |offsets| {
        let busy = offsets.windows(2).filter(|pair| pair[0] < pair[1]).count();
        4 * busy <= 3 * experts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_legal() {
        for seed in (0..400).chain(HALVES..HALVES + 200) {
            let case = forward(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("{seed}: {e}"));
            let case = weights(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("weights {seed}: {e}"));
        }
    }

    #[test]
    fn loads_are_what_they_are_called() {
        let mut rng = Rng::new(1, 1);
        let mut counts = |load: Load| -> Vec<u32> {
            load.offsets(&mut rng, 4, 100).windows(2).map(|pair| pair[1] - pair[0]).collect()
        };
        assert_eq!(counts(Load::Even), [25; 4]);
        assert_eq!(counts(Load::Zipf), [48, 24, 16, 12]);
        assert_eq!(counts(Load::Ragged)[1], 0);
        assert_eq!(counts(Load::One).iter().filter(|&&n| n == 100).count(), 1);
        assert_eq!(counts(Load::Blocks), [32, 32, 16, 20]);
        assert_eq!(counts(Load::Tail).iter().sum::<u32>(), 67);
        assert_eq!(counts(Load::Middle).iter().sum::<u32>(), 50);
        assert_eq!(counts(Load::Nobody), [0; 4]);
    }
}
