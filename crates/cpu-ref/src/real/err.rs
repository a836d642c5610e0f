//! A running bound of the error of any kernel that follows WGSL's accuracy table.
//!
//! Each operation carries the errors of its arguments on and adds its own, in units of `u = 2⁻²⁴` (one ULP is at most `2u` of the
//! result). Charges: `+ − ×` 2u, since WGSL rounds in either direction; `/` 2.5 ULP = 5u; `exp(x)` 3 + 2|x| ULP; `ln` 3 ULP or 2⁻²¹,
//! whichever is larger. Any argument or result below 2⁻¹²⁶ may become 0. f16 storage is left to the comparison.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Accumulator, Real};

/// Half an ULP at one: `2⁻²⁴`.
pub const UNIT: f64 = 1.0 / (1u32 << 24) as f64;

/// Everything below may be flushed to zero: `2⁻¹²⁶`.
pub const FLUSH: f64 = f32::MIN_POSITIVE as f64;

const MAX: f64 = f32::MAX as f64;

/// Stands for "nothing is known"; finite, so that a zero still wins over it.
const UNKNOWN: f64 = 1e200;

/// An exact number and how far a kernel's may be from it.
///
/// `e` is huge where nothing is known, and NaN where f32 arithmetic may overflow on the way, which no later step but a clamp undoes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Err {
    /// The exact number.
    pub v: f64,
    /// Bound of the error.
    pub e: f64,
}

/// `|x|·e`, where an exact zero wins over an unknown error.
fn carry(x: f64, e: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.abs() * e }
}

impl Err {
    /// `v` with the carried error `e` and a rounding of `units`·u.
    fn rounded(v: f64, e: f64, units: f64) -> Self {
        if v.abs() > MAX {
            return Self { v, e: f64::NAN };
        }
        Self { v, e: e + units * UNIT * (v.abs() + e) + FLUSH }
    }

    fn is_zero(self) -> bool {
        self.v == 0.0 && self.e == 0.0
    }
}

impl Add for Err {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        match (self.is_zero(), o.is_zero()) {
            (true, _) => o,
            (_, true) => self,
            _ => Self::rounded(self.v + o.v, self.e + o.e, 2.0),
        }
    }
}

impl Sub for Err {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}

impl Mul for Err {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        if self.is_zero() || o.is_zero() {
            // An overflow times 0 is not 0, nor is what is not finite.
            let lost = self.e.is_nan() || o.e.is_nan();
            return Self { v: self.v * o.v, e: if lost { f64::NAN } else { 0.0 } };
        }
        let carried = carry(self.v, o.e) + carry(o.v, self.e) + carry(self.e, o.e);
        Self::rounded(self.v * o.v, carried + FLUSH * (self.v.abs() + o.v.abs()), 2.0)
    }
}

impl Div for Err {
    type Output = Self;
    /// A divisor that may be 0 or outside `[2⁻¹²⁶, 2¹²⁶]`, where WGSL promises nothing, leaves nothing known.
    fn div(self, o: Self) -> Self {
        let v = self.v / o.v;
        let least = o.v.abs() - o.e;
        if !(least >= FLUSH && o.v.abs() + o.e <= 1.0 / FLUSH) {
            return Self { v, e: if o.e.is_nan() { f64::NAN } else { UNKNOWN } };
        }
        Self::rounded(v, (self.e + FLUSH + carry(v, o.e)) / least, 5.0)
    }
}

impl Neg for Err {
    type Output = Self;
    fn neg(self) -> Self {
        Self { v: -self.v, e: self.e }
    }
}

/// `exp(x + e) − exp(x)`, not less.
fn exp_growth(x: f64, exp_x: f64, e: f64) -> f64 {
    if e <= 0.5 { exp_x * e * (1.0 + e) } else { (x + e).exp() - exp_x }
}

impl Real for Err {
    type Sum = ErrSum;

    fn from_f64(x: f64) -> Self {
        Self { v: x, e: 0.0 }
    }

    fn value(self) -> f64 {
        self.v
    }

    fn exp(self) -> Self {
        let v = self.v.exp();
        let growth = exp_growth(self.v, v, self.e).min(UNKNOWN);
        let most = v + growth;
        let own = if most == 0.0 { 0.0 } else { 2.0 * (3.0 + 2.0 * (self.v.abs() + self.e)) * UNIT * most };
        if v > MAX { Self { v, e: f64::NAN } } else { Self { v, e: growth + own + FLUSH } }
    }

    fn ln(self) -> Self {
        let v = self.v.ln();
        let relative = self.e / self.v;
        if relative.is_nan() {
            return Self { v, e: f64::NAN };
        }
        if relative >= 1.0 {
            return Self { v, e: UNKNOWN };
        }
        let carried = -(-relative).ln_1p();
        Self { v, e: carried + (6.0 * UNIT * (v.abs() + carried)).max(2f64.powi(-21)) }
    }

    /// Good to 2 ULP.
    fn inverse_sqrt(self) -> Self {
        let v = self.v.sqrt().recip();
        let least = self.v - self.e;
        if !(least >= FLUSH && self.v + self.e <= MAX) {
            return Self { v, e: if self.e.is_nan() { f64::NAN } else { UNKNOWN } };
        }
        Self::rounded(v, least.sqrt().recip() - v, 4.0)
    }

    /// The reciprocal of an inverse root: 4u and 5u. A kernel takes 0 for the root of what is not normal.
    fn sqrt(self) -> Self {
        let (v, least) = (self.v.sqrt(), self.v - self.e);
        if self.e.is_nan() || v.is_nan() || self.v + self.e > MAX {
            return Self { v, e: f64::NAN };
        }
        let above = (self.v + self.e).sqrt() - v;
        let below = if least < FLUSH { v } else { v - least.sqrt() };
        if self.is_zero() { self } else { Self::rounded(v, above.max(below), 9.0) }
    }

    /// A kernel forms it as `y = (1 − t) / (1 + t)`, `t = exp(−2|x|)`. The exponential is off by `t·(6 + 8|x|)·u`, which `|dy/dt| = 2/(1 + t)²`
    /// carries on (at most 4u in all); difference, sum and quotient add 2 + 2 + 5 u of `y`. An error of `x` is carried on by the
    /// steepest slope `1 − tanh²` within its reach. A quarter is added for products of errors.
    fn tanh(self) -> Self {
        let (v, x) = (self.v.tanh(), self.v.abs());
        let t = (-2.0 * x).exp();
        let own = UNIT * (2.0 * t * (6.0 + 8.0 * x) / ((1.0 + t) * (1.0 + t)) + 9.0 * v.abs());
        let nearest = (x - self.e).max(0.0).tanh();
        let carried = carry((1.0 - nearest * nearest).max(0.0), self.e).min(2.0);
        Self { v, e: carried + 1.25 * own + FLUSH }
    }

    /// Undoes an overflow: a kernel clamps infinities too.
    fn clamp(self, limit: f64) -> Self {
        let v = self.v.clamp(-limit, limit);
        if self.v.abs() <= limit {
            return self;
        }
        let e = if self.e.is_nan() { 0.0 } else { self.e };
        Self { v, e: e + 2.0 * UNIT * limit }
    }

    /// A kernel's function may be off by `ulps` of its argument and by `ulps` of its result, as a stable evaluation is: what its argument
    /// may be off by in all is carried on by the function itself, tried at both ends and halfway. A quarter is added for what bends between.
    fn apply(self, f: &dyn Fn(f64) -> f64, _: Option<&dyn Fn(f64) -> f64>, ulps: f64) -> Self {
        let (v, own) = (f(self.v), 2.0 * ulps * UNIT);
        let reach = self.e + own * (self.v.abs() + self.e) + FLUSH;
        let tried = [-1.0, -0.5, 0.5, 1.0].map(|at| f(self.v + at * reach));
        if self.e.is_nan() || v.is_nan() || v.abs() > MAX {
            return Self { v, e: f64::NAN };
        }
        if !tried.iter().all(|x| x.is_finite()) {
            return Self { v, e: UNKNOWN };
        }
        let most = tried.iter().fold(v.abs(), |m, x| m.max(x.abs()));
        let moved = tried.iter().fold(0.0, |m: f64, x| m.max((x - v).abs()));
        // zero wherever it was tried: an exact one, as relu's
        let e = if most == 0.0 { 0.0 } else { (1.25 * moved + own * most + FLUSH).min(UNKNOWN) };
        Self { v, e }
    }

    /// A kernel forms it as the series of `2·atanh(t)`, `t = x/(2 + x) ≤ 1/3`: quotient and sum 7u, of which the series makes at most
    /// 1.3 times as much; its own terms are positive and fall by 9, so products and sums of them add 8u.
    fn ln_1p(self) -> Self {
        let v = self.v.ln_1p();
        let nearest = (self.v - self.e).max(0.0);
        let own = if self.is_zero() { 0.0 } else { 18.0 * UNIT * (v + self.e) + FLUSH };
        Self { v, e: carry(1.0 / (1.0 + nearest), self.e) + own }
    }

    /// Exact where a kernel's number is beyond an end, too. Nothing moves apart.
    fn within(self, low: f64, high: f64) -> Self {
        let v = self.v.clamp(low, high);
        let beyond = self.v + self.e <= low || self.v - self.e >= high;
        Self { v, e: if beyond { 0.0 } else { self.e } }
    }

    fn step(self) -> Self {
        let v = f64::from(u8::from(self.v > 0.0));
        let certain = self.v.abs() > self.e || self.is_zero();
        Self { v, e: if certain { 0.0 } else { 1.0 } }
    }

    /// A divisor that may be 0 leaves nothing known.
    fn share(self) -> Self {
        match self.v == 0.0 {
            true if self.e == 0.0 => self,
            true => Self { v: 0.0, e: if self.e.is_nan() { f64::NAN } else { UNKNOWN } },
            false => Self::from_f64(1.0) / self,
        }
    }

    /// Four partial sums: the chain of additions is what would take the time.
    fn dot(a: &[Self], b: &[Self]) -> Self {
        let mut lanes = [ErrSum::default(); 4];
        let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
        let rest = a4.remainder().iter().zip(b4.remainder());
        for (x, y) in a4.zip(b4) {
            for lane in 0..4 {
                lanes[lane].add_product(x[lane], y[lane]);
            }
        }
        rest.for_each(|(&x, &y)| lanes[0].add_product(x, y));
        let [mut sum, others @ ..] = lanes;
        others.iter().for_each(|lane| sum.merge(lane));
        sum.total()
    }

    fn charge(self, units: f64) -> Self {
        Self { v: self.v, e: self.e + units * UNIT * self.v.abs() }
    }

    /// A spacing is at most 2⁻¹⁰ of a number, and of the least normal one below that. What is not normal may become 0, or, rounded away from it,
    /// the spacing itself.
    fn through_f16(self, least: f64) -> Self {
        let most = self.v.abs() + self.e;
        if most == 0.0 {
            return self;
        }
        let spacing = most.max(least) * 2f64.powi(-10);
        let lost = if self.v.abs() - self.e < least { most.max(spacing) } else { spacing };
        Self { v: self.v, e: self.e + lost }
    }

    fn uncertainty(self) -> f64 {
        self.e
    }

    fn certain_within(self, most: f64) -> Self {
        if self.e > most { Self { v: self.v, e: most } } else { self }
    }

    /// Whatever a kernel subtracts cancels in the end, so it may be taken as a number without error; or, if the largest logit is badly
    /// known, as that logit itself, whose own weight is then exactly 1.
    fn center(logits: &mut [Self]) -> Self {
        let Some(at) = (0..logits.len()).max_by(|&a, &b| logits[a].v.total_cmp(&logits[b].v)) else {
            return Self::default();
        };
        let mut peak = logits[at];
        let well_known = peak.e <= 0.25;
        if well_known {
            peak.e = 0.0;
        }
        for (i, z) in logits.iter_mut().enumerate() {
            let cancels = i == at && !well_known;
            let v = z.v - peak.v;
            let e = z.e + peak.e;
            *z = if cancels { Self::default() } else { Self { v, e: e + 2.0 * UNIT * (v.abs() + e) } };
        }
        peak
    }
}

/// A sum with what is needed to bound it: `Σ|t|`, the carried errors, the arguments that may be flushed, the count.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrSum {
    v: f64,
    magnitude: f64,
    carried: f64,
    arguments: f64,
    terms: f64,
}

impl ErrSum {
    fn merge(&mut self, o: &Self) {
        self.v += o.v;
        self.magnitude += o.magnitude;
        self.carried += o.carried;
        self.arguments += o.arguments;
        self.terms += o.terms;
    }

    /// `additions` of rounding at most u each, the first eight 2u: long sums are formed in parts, or rounded to nearest.
    fn bounded(&self, additions: f64) -> Err {
        // no terms, or every one is the product of an exact 0
        if self.terms == 0.0 || (self.magnitude == 0.0 && self.carried == 0.0) {
            return Err::default();
        }
        if self.magnitude > MAX {
            return Err { v: self.v, e: f64::NAN };
        }
        let units = additions + additions.min(8.0);
        let flushed = FLUSH * (self.terms + self.arguments);
        let e = self.carried + UNIT * units * (self.magnitude + self.carried) + flushed;
        Err { v: self.v, e: if self.terms == 1.0 && self.arguments == 0.0 { self.carried } else { e } }
    }
}

impl Accumulator<Err> for ErrSum {
    fn add(&mut self, term: Err) {
        if term.is_zero() {
            return;
        }
        self.v += term.v;
        self.magnitude += term.v.abs();
        self.carried += term.e;
        self.terms += 1.0;
    }

    #[inline]
    fn add_product(&mut self, a: Err, b: Err) {
        let (p, x, y) = (a.v * b.v, a.v.abs(), b.v.abs());
        self.v += p;
        self.magnitude += p.abs();
        // 2u for the product itself
        self.carried += x * b.e + y * a.e + a.e * b.e + 2.0 * UNIT * p.abs();
        self.arguments += x + y;
        self.terms += 1.0;
    }

    fn total(&self) -> Err {
        self.bounded(self.terms - 1.0)
    }

    /// A rescale multiplies by an exponential of a difference of maxima: 6u + 2u each time; the part that grows with the difference is
    /// in the charge of the term's own exponential, which telescopes.
    fn total_rescaled(&self, depth: usize) -> Err {
        let depth = self.terms.min(depth as f64);
        self.bounded(depth - 1.0 + 8.0 * (depth / 16.0).ceil())
    }

    fn total_in_depth(&self, depth: usize) -> Err {
        self.bounded(self.terms.min(depth as f64) - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_times_what_is_not_finite_is_nan() {
        let product = |x: f64| (Err::from_f64(x) * Err::from_f64(0.0)).value();
        assert!(product(f64::NAN).is_nan() && product(f64::INFINITY).is_nan());
        assert_eq!((product(-3.0), product(1e300)), (0.0, 0.0));
    }

    #[test]
    fn f16_loses_a_spacing_or_what_is_not_normal() {
        let (least, spacing) = (2f64.powi(-14), 2f64.powi(-24));
        let lost = |x: f64| Err::from_f64(x).through_f16(least).uncertainty();
        assert_eq!(lost(0.0), 0.0);
        assert_eq!(lost(-3.0), 3.0 * 2f64.powi(-10));
        // far below the least number that there is: 0, or rounded away from it
        assert_eq!(lost(1e-16), spacing);
        assert_eq!(lost(-1e-5), 1e-5);
        assert_eq!(lost(least), spacing);
    }
}
