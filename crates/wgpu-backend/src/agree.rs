//! Whether two kernels computed the same, up to rounding.
//!
//! Both outputs are sums in f32, added in another order. An element that takes n multiply-adds carries a rounding error of at most about
//! n·2⁻²⁴ times the sum of its terms' magnitudes (the classical bound; Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1). The
//! magnitudes are not known here, but the largest element of the output stands for them: rounding errors grow with the square root of n,
//! and so does what a sum of n terms of either sign loses against their magnitudes. Hence, for outputs a and b of one tensor,
//!
//! > |a − b| ≤ 2 · (n + 64) · 2⁻²⁴ · max |a|, and one spacing of the storage type more where that is f16
//!
//! with n the multiply-adds that the op makes by definition, divided by the tensor's elements: a gradient summed over all rows may differ
//! by more than an element of the output. 64 is for an exponential, at (3 + 2·|x|) units, and a division. A weight left out, or one row in the place of another, differs by far more than this in `o`.

use gatefold_core::{Data, Tensor, Tensors};

/// Spacing of f16 numbers, relative; and of its smallest.
const F16_SPACING: f64 = 1.0 / 1024.0;
const F16_LEAST: f64 = 1.0 / 16_777_216.0;

/// Units that an exponential and a division may be off.
const EXPONENTIAL: f64 = 64.0;

/// Where two tensors differ by more than rounding, in words.
fn difference(name: &str, a: &Tensor, b: &Tensor, mul_adds: f64) -> Option<String> {
    if let (Data::U32(x), Data::U32(y)) = (a.data(), b.data()) {
        return (x != y).then(|| format!("{name}: integers differ"));
    }
    let half = matches!(a.data(), Data::F16(_));
    let (x, y) = (a.to_f64(), b.to_f64());
    let largest = x.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    let rounding = 2.0 * (mul_adds / x.len().max(1) as f64 + EXPONENTIAL) * (-24f64).exp2() * largest;
    for (at, (&a, &b)) in x.iter().zip(&y).enumerate() {
        let same = if a.is_finite() && b.is_finite() {
            let storage = if half { a.abs() * F16_SPACING + F16_LEAST } else { 0.0 };
            (a - b).abs() <= rounding + storage
        } else {
            a == b || (a.is_nan() && b.is_nan())
        };
        if !same {
            let allowed = format!("differs by at most {rounding:.1e}");
            return Some(format!("{name}[{at}]: the default gives {a:e}, this {b:e}, rounding {allowed}"));
        }
    }
    None
}

/// Why `other` is not `default` up to rounding; `flops` are the op's by definition. `None`: they agree.
pub(crate) fn disagreement(default: &Tensors, other: &Tensors, flops: f64) -> Option<String> {
    default.iter().find_map(|(name, a)| match other.get(name) {
        Some(b) if b.dims() == a.dims() && b.dtype() == a.dtype() => difference(name, a, b, flops / 2.0),
        _ => Some(format!("{name}: missing, or of another shape")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Tensors {
        Tensors::new().with("y", Tensor::f32([values.len()], values.to_vec()).unwrap())
    }

    #[test]
    fn rounding_agrees_and_a_missing_term_does_not() {
        let a = [1.0, -0.5, f32::NAN, f32::INFINITY];
        let agree = |b: [f32; 4], mul_adds: f64| disagreement(&of(&a), &of(&b), 2.0 * 4.0 * mul_adds).is_none();
        assert!(agree(a, 1.0));
        assert!(agree([1.0, -0.5 + 1e-4, f32::NAN, f32::INFINITY], 2048.0));
        assert!(!agree([1.0, -0.5 + 1e-3, f32::NAN, f32::INFINITY], 2048.0));
        assert!(!agree([1.0, -0.5, 0.0, f32::INFINITY], 2048.0));
        assert!(!agree([f32::NAN, -0.5, f32::NAN, f32::INFINITY], 2048.0));
        assert!(!agree([1.0, -0.5, f32::NAN, f32::NEG_INFINITY], 2048.0));
        assert!(disagreement(&of(&a), &Tensors::new(), 1.0).is_some());
    }
}
