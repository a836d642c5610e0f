//! Points for the accuracy probe, and the error of its results in units of what WGSL allows.

use super::draw::Draw;

/// Points per function; [`accuracy.wgsl`](self) has the same number as a constant.
pub(super) const POINTS: usize = 4096;

/// Arguments, [6, POINTS]: of exp, exp2, log, the dividends, the divisors, of inverseSqrt. All results are normal numbers.
pub(super) fn points() -> Vec<f32> {
    let mut uniform = Draw(1);
    let mut x = Vec::with_capacity(6 * POINTS);
    let mut row = |f: &mut dyn FnMut(&mut Draw, usize) -> f64| {
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
        x.extend((0..POINTS).map(|i| f(&mut uniform, i) as f32));
    };
    row(&mut |u, _| u.between(-80.0, 80.0));
    row(&mut |u, _| u.between(-120.0, 120.0));
    // Half of them where the allowed error is absolute.
    row(&mut |u, i| if i % 2 == 0 { u.between(0.5, 2.0) } else { u.between(-100.0, 100.0).exp2() });
    row(&mut |u, i| u.between(-20.0, 20.0).exp2() * if i % 2 == 0 { 1.0 } else { -1.0 });
    row(&mut |u, _| u.between(-60.0, 60.0).exp2());
    row(&mut |u, _| u.between(-100.0, 100.0).exp2());
    x
}

/// Distance between neighbouring f32 numbers around `exact`.
fn ulp(exact: f64) -> f64 {
    (exact.abs().log2().floor().max(-126.0) - 23.0).exp2()
}

/// Largest error of each of the five functions in units of the allowed one. `x`: [6, POINTS], `y`: [5, POINTS].
pub(super) fn errors(x: &[f32], y: &[f32]) -> [f64; 5] {
    let x = |row: usize, i: usize| f64::from(x[row * POINTS + i]);
    let mut worst = [0.0f64; 5];
    for i in 0..POINTS {
        let log = x(2, i).ln();
        let log_bound = if (0.5..=2.0).contains(&x(2, i)) { (-21.0f64).exp2() } else { 3.0 * ulp(log) };
        let quotient = x(3, i) / x(4, i);
        let inverse_sqrt = 1.0 / x(5, i).sqrt();
        let exact_and_bound = [
            (x(0, i).exp(), (3.0 + 2.0 * x(0, i).abs()) * ulp(x(0, i).exp())),
            (x(1, i).exp2(), (3.0 + 2.0 * x(1, i).abs()) * ulp(x(1, i).exp2())),
            (log, log_bound),
            (quotient, 2.5 * ulp(quotient)),
            (inverse_sqrt, 2.0 * ulp(inverse_sqrt)),
        ];
        for (row, (exact, bound)) in exact_and_bound.into_iter().enumerate() {
            let error = (f64::from(y[row * POINTS + i]) - exact).abs() / bound;
            // A NaN is the worst of all, and `max` would drop it.
            worst[row] = if error.is_nan() { f64::INFINITY } else { worst[row].max(error) };
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correctly_rounded_results_are_within_bounds_and_wrong_ones_are_not() {
        let x = points();
        let at = |row: usize, i: usize| f64::from(x[row * POINTS + i]);
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
        let mut y: Vec<f32> = (0..5 * POINTS)
            .map(|n| {
                let (row, i) = (n / POINTS, n % POINTS);
                match row {
                    0 => at(0, i).exp() as f32,
                    1 => at(1, i).exp2() as f32,
                    2 => at(2, i).ln() as f32,
                    3 => (at(3, i) / at(4, i)) as f32,
                    _ => (1.0 / at(5, i).sqrt()) as f32,
                }
            })
            .collect();
        assert!(errors(&x, &y).into_iter().all(|e| e <= 0.5), "{:?}", errors(&x, &y));
        y[3 * POINTS] *= 1.0 + 1e-5;
        y[4 * POINTS] = f32::NAN;
        let [.., divide, inverse_sqrt] = errors(&x, &y);
        assert!(divide > 10.0 && inverse_sqrt == f64::INFINITY);
    }
}
