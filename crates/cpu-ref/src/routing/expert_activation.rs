//! What stands between an expert's products, from the definition, and its gradient.

use gatefold_core::routing::ExpertFunction;
use gatefold_core::{ExpertActivation, ExpertActivationBackward, Op};

use super::expert_activation_cases as cases;
use crate::{Case, Real, Reference, Values};

/// Beyond this, gelu's sigmoid is 0 or 1 in f32, and its cube does not overflow up to here.
const GELU_REACH: f64 = 12.0;
/// Beyond this, a clamped gate's sigmoid is 0 or 1, whatever `alpha` is.
const GATE_REACH: f64 = 1e15;

/// `1/(1 + e^{-z})` and its slope.
fn sigmoid<R: Real>(z: R) -> (R, R) {
    let one = R::from_f64(1.0);
    let e = (-z.abs()).exp();
    // 2u more: a kernel may multiply by the reciprocal
    let (large, small) = (one / (one + e), (e / (one + e)).charge(2.0));
    (if z.value() < 0.0 { small } else { large }, large * small)
}

/// `x·σ(z(x))` and its slope, `z'` being `slope`.
fn gated_by<R: Real>(x: R, z: R, slope: R) -> (R, R) {
    let (share, share_slope) = sigmoid(z);
    (x * share, share + x * (share_slope * slope))
}

/// `x·σ(x)` and its slope.
fn silu<R: Real>(x: R) -> (R, R) {
    let (share, _) = sigmoid(x);
    let (rest, _) = sigmoid(-x);
    (x * share, share * (R::from_f64(1.0) + x * rest))
}

/// `½x(1 + tanh z) = x·σ(2z)`, `z = √(2/π)·(x + 0.044715·x³)`, and its slope.
fn gelu<R: Real>(x: R) -> (R, R) {
    let number = R::from_f64;
    let twice = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
    let near = x.within(-GELU_REACH, GELU_REACH);
    let square = near * near;
    // constants are rounded to f32: 1u each
    let z = (number(twice) * near * (number(1.0) + number(0.044_715) * square)).charge(2.0);
    let slope = (number(twice) * (number(1.0) + number(3.0 * 0.044_715) * square)).charge(2.0);
    gated_by(x, z, slope)
}

/// The value of an element and its derivatives by gate and by up; `up` is 1 where there is none.
fn element<R: Real>(function: ExpertFunction, gate: R, up: R) -> (R, R, R) {
    let (one, zero) = (R::from_f64(1.0), R::from_f64(0.0));
    let times_up = |(value, slope): (R, R)| (value * up, slope * up, value);
    match function {
        ExpertFunction::SwiGlu => times_up(silu(gate)),
        ExpertFunction::GeGlu => times_up(gelu(gate)),
        ExpertFunction::ClampedSwiGlu { limit, alpha } => {
            let limit = f64::from(limit);
            let alpha = R::from_f64(alpha.into());
            let passes = |x: R, low: f64| if x.value() > low && x.value() <= limit { one } else { zero };
            let (cut, up_cut) = (gate.within(f64::NEG_INFINITY, limit), up.within(-limit, limit));
            let near = cut.within(-GATE_REACH, GATE_REACH);
            let (value, slope) = gated_by(cut, alpha * near, alpha);
            let up_one = up_cut + one;
            (value * up_one, passes(gate, f64::NEG_INFINITY) * slope * up_one, passes(up, -limit) * value)
        }
        ExpertFunction::Gelu => times_up(gelu(gate)),
        ExpertFunction::Silu => times_up(silu(gate)),
        ExpertFunction::Relu => (gate.within(0.0, f64::INFINITY), gate.step(), zero),
    }
}

/// Gate and up of element `col` of a row of `h`.
fn inner<R: Real>(op: &ExpertActivation, h: &[R], row: usize, col: usize) -> (R, R) {
    if op.function.is_gated() {
        let first = row * 2 * op.width;
        (h[first + col], h[first + op.width + col])
    } else {
        (h[row * op.width + col], R::from_f64(1.0))
    }
}

fn are_finite<R: Real>(numbers: &[R]) -> bool {
    numbers.iter().all(|x| x.value().is_finite())
}

impl Reference for ExpertActivation {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let h = inputs.float("h");
        let mut y = Vec::with_capacity(self.rows * self.width);
        for (row, col) in (0..self.rows).flat_map(|row| (0..self.width).map(move |col| (row, col))) {
            let (gate, up) = inner(self, h, row, col);
            y.push(if are_finite(&[gate, up]) { element(self.function, gate, up).0 } else { R::nan() });
        }
        Values { floats: [("y".to_string(), y)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        let inputs = |rng: &mut _, op: &Self, special| cases::inputs(rng, op, &op.operands(), special);
        Case::drawn((seed, 0xac71), cases::planned(seed), cases::random, 30, inputs)
    }

    const PLANNED: u64 = cases::PLANNED;
}

impl Reference for ExpertActivationBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let op = &self.forward;
        let (h, d_y) = (inputs.float("h"), inputs.float("d_y"));
        let gated = op.function.is_gated();
        let mut d_h = Vec::with_capacity(h.len());
        for row in 0..op.rows {
            let (mut d_gate, mut d_up) = (Vec::with_capacity(op.width), Vec::with_capacity(op.width));
            for col in 0..op.width {
                let (gate, up) = inner(op, h, row, col);
                let upstream = d_y[row * op.width + col];
                let is_sound = are_finite(&[gate, up, upstream]);
                let (_, by_gate, by_up) = element(op.function, gate, up);
                d_gate.push(if is_sound { by_gate * upstream } else { R::nan() });
                d_up.extend(gated.then(|| if is_sound { by_up * upstream } else { R::nan() }));
            }
            d_h.extend(d_gate.into_iter().chain(d_up));
        }
        Values { floats: [("d_h".to_string(), d_h)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        let planned = cases::planned(seed).map(|(forward, note)| (Self { forward }, note));
        let random = |rng: &mut _| Self { forward: cases::random(rng) };
        let inputs = |rng: &mut _, op: &Self, special| cases::inputs(rng, &op.forward, &op.operands(), special);
        Case::drawn((seed, 0xac72), planned, random, 30, inputs)
    }

    const PLANNED: u64 = cases::PLANNED;
}
