//! WGSL's built-in functions of numbers, with the accuracy that its table promises.

use std::f64::consts::PI;

use naga::MathFunction as M;

use crate::arith::{Arith, Precision};

/// Functions whose accuracy is that of the expression they stand for: exact arithmetic takes the exact value, an adversary the expression.
fn inherited<A: Arith>(ar: &mut A, p: Precision, exact: f64, expression: impl FnOnce(&mut A) -> f32) -> f32 {
    if A::EXACT { p.nearest(exact) } else { expression(ar) }
}

/// A power of x, exactly `e`. Where even a denormal is too large for it, it is 0: by the letter of WGSL's table the exponential of -3e38 might be
/// 1e-6, which no driver does and no kernel could live with.
fn exponential<A: Arith>(ar: &mut A, p: Precision, x: f32, e: f64) -> f32 {
    if p.nearest(e) == 0.0 {
        return 0.0;
    }
    ar.within(p, e, (p.pick(3.0, 1.0) + 2.0 * f64::from(x).abs()) * p.ulp(e))
}

fn exp<A: Arith>(ar: &mut A, p: Precision, x: f32) -> f32 {
    exponential(ar, p, x, f64::from(x).exp())
}

fn exp2<A: Arith>(ar: &mut A, p: Precision, x: f32) -> f32 {
    exponential(ar, p, x, f64::from(x).exp2())
}

fn logarithm<A: Arith>(ar: &mut A, p: Precision, x: f32, exact: f64) -> f32 {
    let near_one = (0.5..=2.0).contains(&x);
    let radius = if near_one { p.pick(-21.0f64, -7.0).exp2() } else { 3.0 * p.ulp(exact) };
    ar.within(p, exact, radius)
}

pub(crate) fn inverse_sqrt<A: Arith>(ar: &mut A, p: Precision, x: f32) -> f32 {
    let exact = 1.0 / f64::from(x).sqrt();
    ar.within(p, exact, 2.0 * p.ulp(exact))
}

pub(crate) fn sqrt<A: Arith>(ar: &mut A, p: Precision, x: f32) -> f32 {
    let exact = f64::from(x).sqrt();
    if x == 0.0 || !exact.is_finite() {
        return p.nearest(exact);
    }
    inherited(ar, p, exact, |ar| {
        let inverse = inverse_sqrt(ar, p, x);
        ar.div(p, 1.0, inverse)
    })
}

/// `(e^x ± e^-x) / 2`.
fn hyperbolic<A: Arith>(ar: &mut A, p: Precision, x: f32, exact: f64, sign: f32) -> f32 {
    inherited(ar, p, exact, |ar| {
        let (up, down) = (exp(ar, p, x), exp(ar, p, -x));
        let sum = ar.add(p, up, sign * down);
        ar.mul(p, sum, 0.5)
    })
}

fn wave<A: Arith>(ar: &mut A, p: Precision, x: f32, exact: f64) -> f32 {
    let radius = if f64::from(x.abs()) <= PI { p.pick(-11.0f64, -7.0).exp2() } else { 0.0 };
    ar.within(p, exact, radius)
}

/// `log((1 + x) / (1 - x)) / 2`.
fn atanh<A: Arith>(ar: &mut A, p: Precision, x: f32) -> f32 {
    inherited(ar, p, f64::from(x).atanh(), |ar| {
        let (over, under) = (ar.add(p, 1.0, x), ar.sub(p, 1.0, x));
        let quotient = ar.div(p, over, under);
        let l = logarithm(ar, p, quotient, f64::from(quotient).ln());
        ar.mul(p, l, 0.5)
    })
}

/// `log(x + sqrt(x·x + one))`.
fn area<A: Arith>(ar: &mut A, p: Precision, x: f32, exact: f64, one: f32) -> f32 {
    inherited(ar, p, exact, |ar| {
        let square = ar.mul(p, x, x);
        let sum = ar.add(p, square, one);
        let root = sqrt(ar, p, sum);
        let sum = ar.add(p, x, root);
        logarithm(ar, p, sum, f64::from(sum).ln())
    })
}

fn power<A: Arith>(ar: &mut A, p: Precision, x: f32, y: f32) -> f32 {
    inherited(ar, p, f64::from(x).powf(f64::from(y)), |ar| {
        let l = logarithm(ar, p, x, f64::from(x).log2());
        let product = ar.mul(p, y, l);
        exp2(ar, p, product)
    })
}

/// The smaller or the larger of two numbers; with a NaN, either.
pub(crate) fn extreme<A: Arith>(ar: &mut A, x: f32, y: f32, largest: bool) -> f32 {
    if x.is_nan() || y.is_nan() {
        if A::EXACT {
            return if x.is_nan() { y } else { x };
        }
        return if ar.coin() { x } else { y };
    }
    if largest == (x > y) { x } else { y }
}

fn mix<A: Arith>(ar: &mut A, p: Precision, [x, y, t]: [f32; 3]) -> f32 {
    let rest = ar.sub(p, 1.0, t);
    let (a, b) = (ar.mul(p, x, rest), ar.mul(p, y, t));
    ar.add(p, a, b)
}

fn smooth_step<A: Arith>(ar: &mut A, p: Precision, [low, high, x]: [f32; 3]) -> f32 {
    let (over, under) = (ar.sub(p, x, low), ar.sub(p, high, low));
    let quotient = ar.div(p, over, under);
    let t = quotient.clamp(0.0, 1.0);
    let (square, twice) = (ar.mul(p, t, t), ar.mul(p, 2.0, t));
    let rest = ar.sub(p, 3.0, twice);
    ar.mul(p, square, rest)
}

/// `x·y + z`, fused or not.
pub(crate) fn multiply_add<A: Arith>(ar: &mut A, p: Precision, x: f32, y: f32, z: f32) -> f32 {
    // One or the other by the operands, so that it is a function of them.
    let parity = (x.to_bits() ^ y.to_bits().rotate_left(7) ^ z.to_bits().rotate_left(13)).count_ones() % 2;
    if A::EXACT || parity == 0 {
        return ar.fused(p, x, y, z);
    }
    let product = ar.mul(p, x, y);
    ar.add(p, product, z)
}

/// A function of floats, component by component; `None` for one that is not known here.
pub(crate) fn float<A: Arith>(ar: &mut A, f: M, p: Precision, a: [f32; 3]) -> Option<f32> {
    let [x, y, z] = a;
    let wide = f64::from(x);
    Some(match f {
        M::Abs => x.abs(),
        M::Min => extreme(ar, x, y, false),
        M::Max => extreme(ar, x, y, true),
        M::Clamp => {
            let above = extreme(ar, x, y, true);
            extreme(ar, above, z, false)
        }
        M::Saturate => x.clamp(0.0, 1.0),
        M::Sign if x == 0.0 || x.is_nan() => 0.0,
        M::Sign => x.signum(),
        M::Ceil => x.ceil(),
        M::Floor => x.floor(),
        M::Trunc => x.trunc(),
        M::Round => x.round_ties_even(),
        M::Fract => ar.sub(p, x, x.floor()),
        M::Step => f32::from(u8::from(y >= x)),
        M::Fma => multiply_add(ar, p, x, y, z),
        M::Mix => mix(ar, p, a),
        M::SmoothStep => smooth_step(ar, p, a),
        M::Radians => ar.mul(p, x, p.nearest(PI / 180.0)),
        M::Degrees => ar.mul(p, x, p.nearest(180.0 / PI)),
        M::QuantizeToF16 => ar.narrow(Precision::F16, wide),
        _ => return transcendental(ar, f, p, a),
    })
}

fn transcendental<A: Arith>(ar: &mut A, f: M, p: Precision, a: [f32; 3]) -> Option<f32> {
    let [x, y, _] = [ar.input(p, a[0]), a[1], a[2]];
    let wide = f64::from(x);
    // acos and asin: 6.77e-5 absolute (f16: 3.91e-3); atan: 4096 ULP (f16: 5).
    let (arc, turn) = (p.pick(6.77e-5, 3.91e-3), p.pick(4096.0, 5.0));
    Some(match f {
        M::Exp => exp(ar, p, x),
        M::Exp2 => exp2(ar, p, x),
        M::Log => logarithm(ar, p, x, wide.ln()),
        M::Log2 => logarithm(ar, p, x, wide.log2()),
        M::Pow => power(ar, p, x, y),
        M::Sqrt => sqrt(ar, p, x),
        M::InverseSqrt => inverse_sqrt(ar, p, x),
        M::Tanh => ar.within(p, wide.tanh(), 1e-5),
        M::Sinh => hyperbolic(ar, p, x, wide.sinh(), -1.0),
        M::Cosh => hyperbolic(ar, p, x, wide.cosh(), 1.0),
        M::Sin => wave(ar, p, x, wide.sin()),
        M::Cos => wave(ar, p, x, wide.cos()),
        M::Tan => inherited(ar, p, wide.tan(), |ar| {
            let (sine, cosine) = (wave(ar, p, x, wide.sin()), wave(ar, p, x, wide.cos()));
            ar.div(p, sine, cosine)
        }),
        M::Asin => ar.within(p, wide.asin(), arc),
        M::Acos => ar.within(p, wide.acos(), arc),
        M::Atan => ar.within(p, wide.atan(), turn * p.ulp(wide.atan())),
        M::Atan2 => {
            let exact = wide.atan2(f64::from(y));
            ar.within(p, exact, turn * p.ulp(exact))
        }
        M::Asinh => area(ar, p, x, wide.asinh(), 1.0),
        M::Acosh => area(ar, p, x, wide.acosh(), -1.0),
        M::Atanh => atanh(ar, p, x),
        _ => return None,
    })
}

/// `ldexp`.
pub(crate) fn scaled<A: Arith>(ar: &mut A, p: Precision, x: f32, exponent: i32) -> f32 {
    ar.rounded(p, f64::from(x) * f64::from(exponent).exp2(), 0.0)
}

/// A function of words; `None` for one that is not known here.
pub(crate) fn integer(f: M, signed: bool, [x, y, z]: [u32; 3]) -> Option<u32> {
    let (i, j, k) = (x.cast_signed(), y.cast_signed(), z.cast_signed());
    let first = |bits: u32| 31u32.wrapping_sub(bits.leading_zeros());
    Some(match (f, signed) {
        (M::Abs, true) => i.wrapping_abs().cast_unsigned(),
        (M::Abs, false) => x,
        (M::Min, true) => i.min(j).cast_unsigned(),
        (M::Min, false) => x.min(y),
        (M::Max, true) => i.max(j).cast_unsigned(),
        (M::Max, false) => x.max(y),
        (M::Clamp, true) => i.max(j).min(k).cast_unsigned(),
        (M::Clamp, false) => x.max(y).min(z),
        (M::Sign, true) => i.signum().cast_unsigned(),
        (M::CountTrailingZeros, _) => x.trailing_zeros(),
        (M::CountLeadingZeros, _) => x.leading_zeros(),
        (M::CountOneBits, _) => x.count_ones(),
        (M::ReverseBits, _) => x.reverse_bits(),
        (M::FirstTrailingBit, _) => {
            if x == 0 {
                u32::MAX
            } else {
                x.trailing_zeros()
            }
        }
        (M::FirstLeadingBit, true) => first(if i < 0 { !x } else { x }),
        (M::FirstLeadingBit, false) => first(x),
        (M::ExtractBits, _) => extract_bits(x, signed, y, z),
        _ => return None,
    })
}

fn extract_bits(x: u32, signed: bool, offset: u32, count: u32) -> u32 {
    let offset = offset.min(32);
    let count = count.min(32 - offset);
    if count == 0 {
        return 0;
    }
    let raised = x << (32 - offset - count);
    if signed { (raised.cast_signed() >> (32 - count)).cast_unsigned() } else { raised >> (32 - count) }
}

#[cfg(test)]
mod tests {
    use naga::MathFunction as M;

    use super::*;
    use crate::adversary::{Adversary, Style, Worst};
    use crate::arith::Nearest;

    const P: Precision = Precision::F32;

    fn worst(seed: u64, style: Style) -> Worst {
        Worst::new(Adversary { seed, style })
    }

    /// What an adversary makes of an operation: the largest and the smallest error, in ULP of the exact result.
    fn errors(exact: f64, p: Precision, mut f: impl FnMut(&mut Worst) -> f32) -> (f64, f64) {
        let mut range = (f64::INFINITY, f64::NEG_INFINITY);
        for style in [Style::Up, Style::Down, Style::Random] {
            for seed in 0..60 {
                let error = (f64::from(f(&mut worst(seed, style))) - exact) / p.ulp(exact);
                range = (range.0.min(error), range.1.max(error));
            }
        }
        range
    }

    /// Whether errors stay within the bound and come near it, on both sides, which rounding to nearest would not.
    fn fills((low, high): (f64, f64), bound: f64, what: &str) {
        assert!(low >= -bound && high <= bound, "{what}: {low}..{high} beyond {bound} ULP");
        assert!(low < -0.5 * bound && high > 0.5 * bound, "{what}: {low}..{high} of {bound} ULP");
    }

    #[test]
    fn sums_and_products_round_either_way() {
        for (x, y) in [(1.0f32, 1e-3f32), (3.7, -2.9), (1e8, 1.0 / 3.0), (16_777_216.0, 1.0)] {
            let (sum, product) = (f64::from(x) + f64::from(y), f64::from(x) * f64::from(y));
            let up = worst(1, Style::Up).add(P, x, y);
            let down = worst(1, Style::Down).add(P, x, y);
            assert!(f64::from(down) <= sum && sum <= f64::from(up), "{x} + {y}");
            assert_eq!(if f64::from(down) == sum { down } else { down.next_up() }, up, "{x} + {y}");
            let (low, high) = errors(product, P, |ar| ar.mul(P, x, y));
            assert!(low > -1.0 && high < 1.0, "{x} * {y}");
        }
        // what f64 cannot see either
        assert_eq!(worst(1, Style::Up).add(P, 1.0, 1e-30), 1.0f32.next_up());
        assert_eq!(worst(1, Style::Down).add(P, 1.0, 1e-30), 1.0);
        assert_eq!(worst(1, Style::Down).add(P, 1.0, -1e-30), 1.0f32.next_down());
        assert_eq!(Nearest.add(P, 1.0, 1e-30), 1.0);
        assert_eq!(worst(1, Style::Up).add(P, 1.0, 2.0), 3.0);
    }

    #[test]
    fn functions_stay_in_wgsls_table() {
        for x in [-20.3f32, -3.0, 0.7, 5.5, 60.0] {
            let wide = f64::from(x);
            let bound = 3.0 + 2.0 * wide.abs();
            fills(errors(wide.exp(), P, |ar| exp(ar, P, x)), bound, "exp");
            fills(errors(wide.exp2(), P, |ar| exp2(ar, P, x)), bound, "exp2");
        }
        for x in [0.013f32, 3.3, 1e5] {
            let wide = f64::from(x);
            fills(errors(wide.ln(), P, |ar| logarithm(ar, P, x, wide.ln())), 3.0, "log");
            fills(errors(1.0 / wide.sqrt(), P, |ar| inverse_sqrt(ar, P, x)), 2.0, "inverseSqrt");
            fills(errors(1.0 / wide, P, |ar| ar.div(P, 1.0, x)), 2.5, "/");
            let root = errors(wide.sqrt(), P, |ar| sqrt(ar, P, x));
            assert!(root.0 > -7.0 && root.1 < 7.0 && root.1 - root.0 > 4.0, "sqrt: {root:?}");
        }
        let near = errors(1.3f64.ln(), P, |ar| logarithm(ar, P, 1.3, 1.3f64.ln()));
        fills(near, (-21f64).exp2() / P.ulp(1.3f64.ln()), "log near 1");
        let tanh = errors(f64::from(0.5f32).tanh(), P, |ar| float(ar, M::Tanh, P, [0.5; 3]).unwrap());
        fills(tanh, 1e-5 / P.ulp(0.5f64.tanh()), "tanh");
    }

    #[test]
    fn halves_round_either_way() {
        let half = Precision::F16;
        let third = 1.0 / 3.0;
        let (up, down) = (worst(0, Style::Up).narrow(half, third), worst(0, Style::Down).narrow(half, third));
        assert!(f64::from(down) < third && third < f64::from(up));
        assert_eq!(half.above(down), up);
        assert_eq!((half.above(-0.0), half.below(0.0)), (half.nearest(6e-8), -half.nearest(6e-8)));
    }

    #[test]
    fn denormals_are_sometimes_flushed() {
        let made: Vec<_> = (0..40).map(|seed| worst(seed, Style::Random).mul(P, 1e-40, 1.0)).collect();
        assert!(made.contains(&0.0) && made.iter().any(|&x| x != 0.0));
        assert_eq!(Nearest.mul(P, 1e-40, 1.0), 1e-40);
    }

    #[test]
    fn an_adversary_is_a_function() {
        let mut ar = worst(3, Style::Random);
        let first: Vec<_> = (1..50u8).map(|x| exp(&mut ar, P, f32::from(x))).collect();
        let second: Vec<_> = (1..50u8).map(|x| exp(&mut ar, P, f32::from(x))).collect();
        assert_eq!(first, second);
    }

    #[test]
    fn a_nan_is_taken_or_left() {
        let made: Vec<_> = (0..40).map(|seed| extreme(&mut worst(seed, Style::Up), f32::NAN, 1.0, true)).collect();
        assert!(made.contains(&1.0) && made.iter().any(|x| x.is_nan()));
        assert_eq!(extreme(&mut Nearest, f32::NAN, 1.0, true), 1.0);
    }

    #[test]
    fn integers_are_exact() {
        assert_eq!(integer(M::FirstLeadingBit, false, [0; 3]), Some(u32::MAX));
        assert_eq!(integer(M::FirstLeadingBit, true, [u32::MAX, 0, 0]), Some(u32::MAX));
        assert_eq!(integer(M::ExtractBits, true, [0xf0, 4, 4]), Some(u32::MAX));
        assert_eq!(integer(M::ExtractBits, false, [0xf0, 4, 4]), Some(15));
        assert_eq!(integer(M::Clamp, true, [5, (-3i32).cast_unsigned(), (-1i32).cast_unsigned()]), Some(u32::MAX));
    }
}
