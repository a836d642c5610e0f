//! The cases of the row functions and their gradients.

use gatefold_core::{Dtype, Op, Role, RowFunction, Rowwise, RowwiseBackward, Tensor, Tensors};

use crate::case::{VARIED, edge, near};
use crate::data::{Family, Rng};
use crate::{Case, Reference};

/// Every planned length with every function, then the special contents.
pub(crate) const PLANNED: u64 = (COLS.len() * 3 + SPECIAL * 3) as u64;

const FORWARD: u64 = 0x4444;
const BACKWARD: u64 = 0x5555;

const COLS: [usize; 19] =
    [1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4096, 65_537, 131_072, 1 << 20];
const OTHERS: [usize; 12] = [4, 5, 7, 16, 100, 127, 129, 200, 511, 513, 2047, 5003];
const SPECIAL: usize = 8;
const FUNCTIONS: [RowFunction; 3] = [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp];

/// Elements that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// A NaN in some rows.
    Nan,
    /// `+∞` in some rows.
    Infinity,
    /// `−∞` in a fifth of all entries.
    Masked,
    /// Rows of nothing but `−∞` (log-softmax: but for one entry).
    MaskedRow,
}

/// A spec and how `x` is to be drawn.
struct Draw {
    op: Rowwise,
    family: Family,
    plant: Option<Plant>,
    note: String,
}

fn planned(seed: u64) -> Option<Draw> {
    let at = edge(seed, PLANNED)?;
    let function = FUNCTIONS[at % 3];
    let draw = |rows, cols, family, note: &str| Draw {
        op: Rowwise::new(function, rows, cols),
        family,
        plant: None,
        note: note.into(),
    };
    if let Some(&cols) = COLS.get(at / 3) {
        let rows = (20_000 / cols).clamp(1, 70);
        return Some(draw(rows, cols, Family::Normal(1.0), &format!("length {cols}")));
    }
    let ordinary = draw(9, 130, Family::Normal(1.0), "");
    Some(match at / 3 - COLS.len() {
        0 => draw(0, 5, Family::Normal(1.0), "no rows; degenerate"),
        1 => draw(9, 130, Family::Normal(100.0), "large; degenerate"),
        2 => draw(9, 130, Family::Equal, "all equal"),
        3 => Draw { plant: Some(Plant::Nan), note: "NaN; degenerate".into(), ..ordinary },
        4 => Draw { plant: Some(Plant::Infinity), note: "infinity; degenerate".into(), ..ordinary },
        5 => Draw { plant: Some(Plant::Masked), note: "some -inf; degenerate".into(), ..ordinary },
        6 => Draw { plant: Some(Plant::MaskedRow), note: "all -inf; degenerate".into(), ..ordinary },
        _ => Draw { op: Rowwise { lens: true, ..ordinary.op }, note: "lengths; degenerate".into(), ..ordinary },
    })
}

fn random(rng: &mut Rng) -> Draw {
    let cols = match rng.below(200) {
        0 => rng.pick(&[1_000_003, 1 << 20]),
        1 | 2 => rng.pick(&[65_537, 131_072]),
        3..20 => 1 + rng.below(3000),
        20..100 => rng.pick(&OTHERS),
        _ => rng.pick(&COLS[..16]),
    };
    let most = if rng.chance(3) { 200_000 } else { 30_000 };
    let rows = match rng.below(30) {
        0 => 0,
        1..10 => rng.pick(&[1, 2, 3, 16, 63, 64, 65, 300]),
        _ => 1 + rng.below(100),
    };
    let op = Rowwise {
        function: rng.pick(&FUNCTIONS),
        rows: rows.min((most / cols).max(1)),
        cols,
        scale: if rng.chance(65) { 1.0 } else { rng.pick(&[0.125, 0.3, 2.0, -0.7, 10.0, 0.0]) },
        lens: rng.chance(30),
        dtype: if rng.chance(30) { Dtype::F16 } else { Dtype::F32 },
    };
    let family = match rng.below(20) {
        0 => Family::Normal(0.1),
        1..5 => Family::Normal(4.0),
        5 => Family::Normal(100.0),
        6 => Family::Equal,
        7 => Family::Zero,
        8 => Family::OneHot,
        9 => Family::Integers,
        10 => Family::Denormal,
        11 => Family::Spike(88.0),
        12 => Family::Spike(1e4),
        13 if op.dtype == Dtype::F32 && op.scale.abs() <= 1.0 => Family::Spike(3.3e38),
        14 | 15 => Family::Uniform,
        _ => Family::Normal(1.0),
    };
    let plain = op.scale > 0.0;
    let plant = match rng.below(60) {
        0 => Some(Plant::Nan),
        1 if plain => Some(Plant::Infinity),
        2..5 if plain => Some(Plant::Masked),
        5 | 6 if plain => Some(Plant::MaskedRow),
        _ => None,
    };
    let mut words: Vec<String> = Vec::new();
    words.extend((family != Family::Normal(1.0)).then(|| format!("{family:?}")));
    words.extend(plant.map(|p| format!("{p:?}")));
    let special = op.lens
        || op.cols < 3
        || plant.is_some()
        || op.scale == 0.0
        || !matches!(family, Family::Normal(_) | Family::Uniform);
    words.extend((special || family == Family::Normal(100.0)).then(|| "may be degenerate".into()));
    Draw { op, family, plant, note: words.join("; ") }
}

fn plant(rng: &mut Rng, op: &Rowwise, plant: Plant, x: &mut [f32]) {
    for row in x.chunks_mut(op.cols) {
        let one = rng.below(op.cols);
        match plant {
            Plant::Nan if rng.chance(40) => row[one] = f32::NAN,
            Plant::Infinity if rng.chance(40) => row[one] = f32::INFINITY,
            Plant::Masked => row.iter_mut().filter(|_| rng.chance(20)).for_each(|x| *x = f32::NEG_INFINITY),
            Plant::MaskedRow if rng.chance(50) => {
                let kept = row[one];
                row.fill(f32::NEG_INFINITY);
                if op.function == RowFunction::LogSoftmax {
                    row[one] = kept;
                }
            }
            _ => {}
        }
    }
}

/// `x`, `lens` and, for the gradient, `d_y`: all but `y`.
fn inputs(rng: &mut Rng, draw: &Draw, gradient: Option<&RowwiseBackward>) -> Tensors {
    let op = &draw.op;
    let mut x = draw.family.fill(rng, op.rows, op.cols);
    if let Some(p) = draw.plant {
        plant(rng, op, p, &mut x);
    }
    let shape = "as many numbers as the shape says";
    let mut all = Tensors::new().with("x", Tensor::float(op.dtype, [op.rows, op.cols], x).expect(shape));
    if op.lens {
        // log-softmax has no stated value in a row without a finite entry, so planted rows keep theirs
        let least = usize::from(draw.plant.is_some() && op.function == RowFunction::LogSoftmax) * op.cols;
        let lens = (0..op.rows).map(|_| match rng.below(6) {
            0 => least,
            1 => op.cols,
            _ => rng.below(op.cols + 1).max(least),
        });
        let lens = lens.map(|n| u32::try_from(n).expect("at most 2^20")).collect::<Vec<_>>();
        all.insert("lens", Tensor::u32([op.rows], lens).expect(shape));
    }
    for o in gradient.map(Op::operands).unwrap_or_default() {
        if o.role == Role::Input && o.name == "d_y" {
            let numbers = Family::Normal(1.0).fill(rng, o.len(), 1);
            all.insert("d_y", Tensor::float(o.dtype, o.dims, numbers).expect(shape));
        }
    }
    all
}

fn draw(rng: &mut Rng, seed: u64) -> Draw {
    let mut draw = planned(seed).unwrap_or_else(|| random(rng));
    if seed >= VARIED && !draw.note.contains("degenerate") {
        draw.op.rows = near(rng, draw.op.rows);
        draw.op.cols = near(rng, draw.op.cols);
    }
    draw
}

/// Case `seed` of the forward op.
pub(crate) fn forward(seed: u64) -> Case<Rowwise> {
    let mut rng = Rng::new(seed, FORWARD);
    let draw = draw(&mut rng, seed);
    let inputs = inputs(&mut rng, &draw, None);
    Case { seed, op: draw.op, inputs, note: draw.note }
}

/// Case `seed` of the gradient. `y` is what the definition gives, rounded to storage.
pub(crate) fn backward(seed: u64) -> Case<RowwiseBackward> {
    let mut rng = Rng::new(seed, BACKWARD);
    let draw = draw(&mut rng, seed);
    let op = RowwiseBackward { forward: draw.op.clone() };
    let inputs = op.complete(inputs(&mut rng, &draw, Some(&op)));
    Case { seed, op, inputs, note: draw.note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_legal() {
        for seed in 0..400 {
            let case = forward(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("forward {seed}: {e}"));
            let case = backward(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("backward {seed}: {e}"));
        }
    }
}
