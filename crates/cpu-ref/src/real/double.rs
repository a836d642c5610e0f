//! Numbers of twice f64's precision: what the reference itself is checked by. After Dekker (1971), Knuth, and Hida, Li & Bailey (2001).

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Accumulator, Real};

/// The unevaluated sum of two f64, the second at most half a unit in the last place of the first: some 106 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Dd {
    /// The number, rounded to f64.
    pub hi: f64,
    /// What that rounding left.
    pub lo: f64,
}

const LN_2: Dd = Dd { hi: std::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };

/// `a + b` and what its rounding left, whichever is larger.
fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let part = hi - a;
    Dd::settled(hi, (a - (hi - part)) + (b - part))
}

/// `a + b` and what its rounding left, where `a` is the larger.
fn quick_two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    Dd::settled(hi, b - (hi - a))
}

/// `a·b` and what its rounding left.
fn two_product(a: f64, b: f64) -> Dd {
    let hi = a * b;
    Dd::settled(hi, a.mul_add(b, -hi))
}

impl Dd {
    /// What is not finite has no rest.
    fn settled(hi: f64, lo: f64) -> Self {
        Self { hi, lo: if hi.is_finite() && lo.is_finite() { lo } else { 0.0 } }
    }

    /// Times 2ⁿ, exactly where the result is normal.
    fn scaled(self, n: i32) -> Self {
        // in two steps, since 2ⁿ itself may not be an f64
        let (half, rest) = (f64::from(n / 2).exp2(), f64::from(n - n / 2).exp2());
        Self::settled(self.hi * half * rest, self.lo * half * rest)
    }

    /// `eˣ − 1` of an `x` of at most ln 2 / 2: the series of `x/512`, squared nine times.
    fn small_exp_m1(self) -> Self {
        let x = self.scaled(-9);
        let (mut term, mut sum) = (x, x);
        for n in 2..=9 {
            term = term * x / Self::from_f64(f64::from(n));
            sum = sum + term;
        }
        // (1 + s)² − 1
        (0..9).fold(sum, |s, _| s.scaled(1) + s * s)
    }

    /// `eˣ − 1`.
    fn exp_m1(self) -> Self {
        if self.hi.abs() < 0.34 { self.small_exp_m1() } else { self.exp() - Self::from_f64(1.0) }
    }
}

impl Add for Dd {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        let (hi, lo) = (two_sum(self.hi, o.hi), two_sum(self.lo, o.lo));
        let first = quick_two_sum(hi.hi, hi.lo + lo.hi);
        quick_two_sum(first.hi, first.lo + lo.lo)
    }
}

impl Sub for Dd {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}

impl Mul for Dd {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        let p = two_product(self.hi, o.hi);
        quick_two_sum(p.hi, p.lo + (self.hi * o.lo + self.lo * o.hi))
    }
}

impl Div for Dd {
    type Output = Self;
    /// Long division, three digits of 53 bits.
    fn div(self, o: Self) -> Self {
        let first = self.hi / o.hi;
        if !first.is_finite() || !o.hi.is_finite() {
            return Self::from_f64(first);
        }
        let rest = self - o * Self::from_f64(first);
        let second = rest.hi / o.hi;
        let rest = rest - o * Self::from_f64(second);
        quick_two_sum(first, second) + Self::from_f64(rest.hi / o.hi)
    }
}

impl Neg for Dd {
    type Output = Self;
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Real for Dd {
    type Sum = DdSum;

    fn from_f64(x: f64) -> Self {
        Self { hi: x, lo: 0.0 }
    }

    fn value(self) -> f64 {
        self.hi
    }

    fn exp(self) -> Self {
        let near = self.hi.exp();
        if near == 0.0 || !near.is_finite() {
            return Self::from_f64(near);
        }
        let turns = (self.hi / LN_2.hi).round();
        #[allow(clippy::cast_possible_truncation, reason = "below 1,100, since the exponential is a number")]
        let n = turns as i32;
        let rest = self - LN_2 * Self::from_f64(turns);
        (rest.small_exp_m1() + Self::from_f64(1.0)).scaled(n)
    }

    /// Newton's iteration from f64's, on the number without its power of two.
    fn ln(self) -> Self {
        if !(self.hi > 0.0 && self.hi.is_finite()) {
            return Self::from_f64(self.hi.ln());
        }
        let power = self.hi.log2().round();
        #[allow(clippy::cast_possible_truncation, reason = "an f64's exponent")]
        let x = self.scaled(-(power as i32));
        let mut y = Self::from_f64(x.hi.ln());
        for _ in 0..2 {
            y = y + (x * (-y).exp() - Self::from_f64(1.0));
        }
        y + LN_2 * Self::from_f64(power)
    }

    fn inverse_sqrt(self) -> Self {
        Self::from_f64(1.0) / self.sqrt()
    }

    /// Karp's trick: f64's root and one correction.
    fn sqrt(self) -> Self {
        let near = self.hi.sqrt();
        if near == 0.0 || !near.is_finite() {
            return Self::from_f64(near);
        }
        let rest = self - two_product(near, near);
        quick_two_sum(near, rest.hi / (2.0 * near))
    }

    fn tanh(self) -> Self {
        if self.hi.abs() > 40.0 || self.hi.is_nan() {
            return Self::from_f64(self.hi.tanh());
        }
        let x = self.abs().scaled(1).exp_m1();
        let y = x / (x + Self::from_f64(2.0));
        if self.hi < 0.0 { -y } else { y }
    }

    fn clamp(self, limit: f64) -> Self {
        self.within(-limit, limit)
    }

    /// Newton's iteration on `eʸ − 1`, which keeps the digits of a small number.
    fn ln_1p(self) -> Self {
        let mut y = Self::from_f64(self.hi.ln_1p());
        for _ in 0..2 {
            let grown = y.exp_m1();
            y = y - (grown - self) / (grown + Self::from_f64(1.0));
        }
        y
    }

    fn within(self, low: f64, high: f64) -> Self {
        if self.hi < low || self.hi > high { Self::from_f64(self.hi.clamp(low, high)) } else { self }
    }

    /// The function is the user's, in f64; what the argument has beyond that is carried on by the slope, where there is one.
    fn apply(self, f: &dyn Fn(f64) -> f64, slope: Option<&dyn Fn(f64) -> f64>, _: f64) -> Self {
        two_sum(f(self.hi), slope.map_or(0.0, |slope| slope(self.hi) * self.lo))
    }
}

/// A serial sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct DdSum(Dd);

impl Accumulator<Dd> for DdSum {
    fn add(&mut self, term: Dd) {
        self.0 = self.0 + term;
    }

    fn add_product(&mut self, a: Dd, b: Dd) {
        self.0 = self.0 + a * b;
    }

    fn total(&self) -> Dd {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dd(x: f64) -> Dd {
        Dd::from_f64(x)
    }

    /// Within so many units of 2⁻¹⁰⁰ of each other.
    fn assert_near(a: Dd, b: Dd, units: f64) {
        let off = (a - b).hi.abs() / b.hi.abs().max(1e-300);
        assert!(off <= units * 2f64.powi(-100), "{a:?} against {b:?}: off by {off:e}");
    }

    #[test]
    fn constants_have_their_published_digits() {
        // e = 2.71828182845904523536028747135266249775724709…: f64's and what is left
        let e = Dd { hi: std::f64::consts::E, lo: 1.445_646_891_729_250_2e-16 };
        assert_near(dd(1.0).exp(), e, 4.0);
        assert_near(dd(2.0).ln(), LN_2, 4.0);
        let root = Dd { hi: std::f64::consts::SQRT_2, lo: -9.667_293_313_452_913e-17 };
        assert_near(dd(2.0).sqrt(), root, 4.0);
    }

    #[test]
    fn functions_undo_each_other() {
        for x in [1e-30, 1e-9, 0.01, 0.3, 0.7, 1.0, 3.5, 88.0, 700.0] {
            let x = dd(x) / dd(3.0);
            assert_near(x.exp().ln(), x, 64.0f64.max(64.0 / x.hi));
            assert_near(x.sqrt() * x.sqrt(), x, 8.0);
            assert_near(x * x.inverse_sqrt() * x.inverse_sqrt(), dd(1.0), 16.0);
            assert_near(x * (dd(1.0) / x), dd(1.0), 8.0);
        }
        for x in [1e-30, 1e-12, 1e-3, 0.2, 0.9] {
            let (x, one) = (dd(x) / dd(3.0), dd(1.0));
            assert_near(x.ln_1p().exp_m1(), x, 64.0);
            // tanh x = (e²ˣ − 1) / (e²ˣ + 1), and atanh is half the logarithm of a quotient
            let y = x.tanh();
            assert_near(((one + y) / (one - y)).ln(), x.scaled(1), 64.0f64.max(64.0 / x.hi.min(1.0)));
        }
    }

    #[test]
    fn sums_keep_what_f64_loses() {
        let terms = [1.0, 1e-20, -1.0];
        assert_eq!(Dd::sum(terms.map(dd)).hi, 1e-20);
        assert_eq!(f64::sum(terms), 0.0);
        assert_eq!((two_product(1.0 + 2f64.powi(-30), 1.0 + 2f64.powi(-30)).lo), 2f64.powi(-60));
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let infinite = dd(f64::INFINITY);
        assert_eq!((infinite + dd(1.0)).hi, f64::INFINITY);
        assert_eq!((dd(1.0) / infinite).hi, 0.0);
        assert_eq!((dd(1.0) / dd(0.0)).hi, f64::INFINITY);
        assert_eq!(dd(f64::NEG_INFINITY).exp().hi, 0.0);
        assert_eq!(dd(0.0).ln().hi, f64::NEG_INFINITY);
        assert!((infinite - infinite).hi.is_nan() && dd(-1.0).ln().hi.is_nan());
        assert_eq!(infinite.tanh().hi, 1.0);
    }
}
