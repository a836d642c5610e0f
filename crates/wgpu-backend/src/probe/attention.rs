//! The self-test of what attention is made of, against f64 and a derived bound: if even this is off, nothing on the adapter can be trusted.

use gatefold_core::{Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::Step;

use super::draw::{Draw, SEED};
use super::measure::{source, step};
use super::self_test::SelfTest;
use crate::RunError;

const ROWS: usize = 64;
const KEYS: usize = 16;
const WIDTH: usize = 16;
/// Factor on scores: 1/√16.
const SCALE: f64 = 0.25;
/// One operation's error, relative: WGSL rounds in either direction.
const UNIT: f64 = 1.0 / 8_388_608.0;
/// Smallest normal number of f32: what is below may be lost.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// Queries, keys, values.
fn inputs() -> [Vec<f32>; 3] {
    let mut draw = Draw(SEED);
    [ROWS, KEYS, KEYS].map(|rows| (0..rows * WIDTH).map(|_| draw.single(-2.0, 2.0)).collect())
}

/// Exact outputs, each with its bound. With p the weights of a row, s its scores and m the largest, an error of `|δs_j| ≤ u·(d + 3)·Σ|q·k|·c`
/// in a score and of `(3 + 2·|s_j − m|)` ULP in its exponential changes an output by at most
/// `u·Σ p|v − o|·(δs/u + |s − m|) + u·Σ p|v|·(2·(3 + 2|s − m|)) + 2·(n + 8)·u·Σ p|v|`; the last is for n rescaled sums and the division.
fn exact() -> Vec<(f64, f64)> {
    let [q, k, v] = inputs();
    let mut all = Vec::with_capacity(ROWS * WIDTH);
    for row in 0..ROWS {
        let keys = row % KEYS + 1;
        let product = |j: usize, d: usize| f64::from(q[row * WIDTH + d]) * f64::from(k[j * WIDTH + d]);
        let terms: Vec<Vec<f64>> = (0..keys).map(|j| (0..WIDTH).map(|d| product(j, d)).collect()).collect();
        let scores: Vec<f64> = terms.iter().map(|t| SCALE * t.iter().sum::<f64>()).collect();
        let off: Vec<f64> =
            terms.iter().map(|t| (WIDTH as f64 + 3.0) * SCALE * t.iter().map(|x| x.abs()).sum::<f64>()).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp() / sum).collect();
        for d in 0..WIDTH {
            let value = |j: usize| f64::from(v[j * WIDTH + d]);
            let o: f64 = (0..keys).map(|j| weights[j] * value(j)).sum();
            let magnitude: f64 = (0..keys).map(|j| weights[j] * value(j).abs()).sum();
            let by_score: f64 =
                (0..keys).map(|j| weights[j] * (value(j) - o).abs() * (off[j] + (largest - scores[j]))).sum();
            let by_exp: f64 =
                (0..keys).map(|j| weights[j] * value(j).abs() * 2.0 * (3.0 + 2.0 * (largest - scores[j]))).sum();
            let by_sum = 2.0 * (keys as f64 + 8.0) * magnitude;
            all.push((o, UNIT * (by_score + by_exp + by_sum) + keys as f64 * LEAST * 2.0));
        }
    }
    all
}

/// Largest error over its bound; infinity for a NaN or a missing output.
pub(super) fn ratio(outputs: &Tensors) -> f64 {
    let got = outputs.get("attention_output").map(Tensor::to_f64).unwrap_or_default();
    let exact = exact();
    if got.len() != exact.len() {
        return f64::INFINITY;
    }
    let ratios = got.iter().zip(&exact).map(|(got, (o, bound))| (got - o).abs() / bound);
    ratios.fold(0.0, |worst: f64, r| if r.is_nan() { f64::INFINITY } else { worst.max(r) })
}

/// The test.
///
/// # Errors
/// None that can come up: the inputs fit.
pub(super) fn test() -> Result<SelfTest, RunError> {
    let count = |n: usize| u32::try_from(n).unwrap_or(0);
    let consts = vec![("KEYS", count(KEYS)), ("WIDTH", count(WIDTH))];
    let [query, key, value] = ["attention_query", "attention_key", "attention_value"];
    let binds = vec![("query", query), ("key", key), ("value", value), ("output", "attention_output")];
    let step = Step { binds, ..step(source!("attention.wgsl"), consts, count(ROWS * WIDTH / 64), Vec::new()) };
    let operands = vec![
        Operand::input(query, [ROWS, WIDTH], Dtype::F32),
        Operand::input(key, [KEYS, WIDTH], Dtype::F32),
        Operand::input(value, [KEYS, WIDTH], Dtype::F32),
        Operand::output("attention_output", [ROWS, WIDTH], Dtype::F32),
    ];
    let [q, k, v] = inputs();
    let inputs = Tensors::new()
        .with(query, Tensor::f32([ROWS, WIDTH], q)?)
        .with(key, Tensor::f32([KEYS, WIDTH], k)?)
        .with(value, Tensor::f32([KEYS, WIDTH], v)?);
    let judge = Box::new(|outputs: &Tensors| match ratio(outputs) {
        r if r <= 1.0 => Ok(()),
        r => Err(format!("the worst output is off by {r:.2} times its bound")),
    });
    Ok(SelfTest { steps: vec![step], operands, inputs, judge })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(change: impl Fn(usize, f64) -> f64) -> Tensors {
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
        let o: Vec<f32> = exact().iter().enumerate().map(|(at, (o, _))| change(at, *o) as f32).collect();
        Tensors::new().with("attention_output", Tensor::f32([ROWS, WIDTH], o).unwrap())
    }

    #[test]
    fn rounded_outputs_are_within_the_bound_and_one_wrong_element_is_not() {
        assert!(ratio(&outputs(|_, o| o)) < 0.1);
        assert!(ratio(&outputs(|at, o| if at == 1000 { o + 1e-4 } else { o })) > 1.0);
        assert_eq!(ratio(&outputs(|at, o| if at == 3 { f64::NAN } else { o })), f64::INFINITY);
        assert_eq!(ratio(&Tensors::new()), f64::INFINITY);
    }
}
