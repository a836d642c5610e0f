//! Cases of what stands between an expert's products.

use gatefold_core::routing::ExpertFunction;
use gatefold_core::{Dtype, ExpertActivation, Operand, Tensor, Tensors};

use crate::case::edge;
use crate::data::{Family, Rng};

/// Rows and width: multiples of 4 and not, none, one, long.
const SIZES: [(usize, usize); 10] =
    [(0, 5), (1, 1), (3, 2), (9, 64), (70, 4), (33, 130), (512, 16), (2, 5003), (3, 2880), (131, 40)];

/// Planned cases: every function at some sizes in both types.
pub(super) const PLANNED: u64 = 60;

pub(super) fn planned(seed: u64) -> Option<(ExpertActivation, String)> {
    let at = edge(seed, PLANNED)?;
    let function = ExpertFunction::ALL[at % 6];
    // ten rounds: another size for each function in each of them
    let (rows, width) = SIZES[(at / 6 + at) % SIZES.len()];
    let dtype = if (at / 6) % 2 == 1 { Dtype::F16 } else { Dtype::F32 };
    let note = match at / 6 % 3 {
        0 => "ordinary",
        1 => "special values",
        _ => "large arguments, special values",
    };
    Some((ExpertActivation { rows, width, function, dtype }, format!("{rows} rows of {width}, {note}")))
}

pub(super) fn random(rng: &mut Rng) -> ExpertActivation {
    let clamped = ExpertFunction::ClampedSwiGlu {
        limit: rng.pick(&[0.5, 1.0, 7.0, 1e6]),
        alpha: rng.pick(&[0.1, 1.0, 1.702, 100.0]),
    };
    let function = if rng.chance(20) { clamped } else { rng.pick(&ExpertFunction::ALL) };
    let rows = rng.pick(&[1, 2, 7, 22, 64, 100, 256, 600]);
    let width = rng.pick(&[1, 3, 4, 8, 17, 32, 63, 96, 128, 200, 514, 1408]).min(60_000 / rows);
    let dtype = if rng.chance(30) { Dtype::F16 } else { Dtype::F32 };
    ExpertActivation { rows, width, function, dtype }
}

/// Ordinary numbers of several spreads; if `special`, some that are not finite, and some at ends: where a clamp begins, where exponentials
/// overflow or vanish.
pub(super) fn inputs(rng: &mut Rng, op: &ExpertActivation, operands: &[Operand], special: bool) -> Tensors {
    let mut ends = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1e-30, 88.0, -88.0, -104.0, -12.0, 12.5];
    ends.extend([-300.0, 300.0, 1.2, -1.278]);
    if op.dtype == Dtype::F32 {
        ends.extend([3e37, -3e37, 1e15, -1e15]);
    }
    if let ExpertFunction::ClampedSwiGlu { limit, .. } = op.function {
        ends.extend([limit, -limit, limit * 1.01, limit * -1.01]);
    }
    let mut all = Tensors::new();
    for o in operands.iter().filter(|o| o.role.is_given()) {
        let spread = rng.pick(&[0.3, 2.0, 2.0, 6.0, 20.0]);
        let mut numbers = Family::Normal(spread).fill(rng, o.len(), 1);
        if special {
            numbers.iter_mut().for_each(|x| *x = if rng.chance(8) { rng.pick(&ends) } else { *x });
        }
        let made = Tensor::float(o.dtype, o.dims.clone(), numbers);
        all.insert(o.name, made.expect("as many numbers as the shape says"));
    }
    all
}
