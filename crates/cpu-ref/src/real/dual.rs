//! Derivatives by dual numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Accumulator, Real};

/// A number and its derivative in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Dual {
    /// The number.
    pub v: f64,
    /// Its derivative.
    pub d: f64,
}

impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { v: self.v + o.v, d: self.d + o.d }
    }
}

impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self { v: self.v - o.v, d: self.d - o.d }
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self { v: self.v * o.v, d: self.d * o.v + self.v * o.d }
    }
}

impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let v = self.v / o.v;
        Self { v, d: (self.d - v * o.d) / o.v }
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self { v: -self.v, d: -self.d }
    }
}

impl Real for Dual {
    type Sum = DualSum;

    fn from_f64(x: f64) -> Self {
        Self { v: x, d: 0.0 }
    }

    fn value(self) -> f64 {
        self.v
    }

    fn exp(self) -> Self {
        let v = self.v.exp();
        Self { v, d: v * self.d }
    }

    fn ln(self) -> Self {
        Self { v: self.v.ln(), d: self.d / self.v }
    }

    fn inverse_sqrt(self) -> Self {
        let v = self.v.sqrt().recip();
        Self { v, d: -0.5 * v * self.d / self.v }
    }

    fn sqrt(self) -> Self {
        let v = self.v.sqrt();
        Self { v, d: if v == 0.0 { 0.0 } else { 0.5 * self.d / v } }
    }

    fn tanh(self) -> Self {
        let v = self.v.tanh();
        Self { v, d: (1.0 - v * v) * self.d }
    }

    fn clamp(self, limit: f64) -> Self {
        if self.v.abs() <= limit { self } else { Self::from_f64(limit.copysign(self.v)) }
    }

    fn detached(self) -> Self {
        Self::from_f64(self.v)
    }

    fn apply(self, f: &dyn Fn(f64) -> f64, slope: Option<&dyn Fn(f64) -> f64>, _: f64) -> Self {
        let d = if self.d == 0.0 { 0.0 } else { slope.map_or(f64::NAN, |slope| slope(self.v) * self.d) };
        Self { v: f(self.v), d }
    }

    fn ln_1p(self) -> Self {
        Self { v: self.v.ln_1p(), d: self.d / (1.0 + self.v) }
    }

    fn within(self, low: f64, high: f64) -> Self {
        if self.v > low && self.v <= high { self } else { Self::from_f64(self.v.clamp(low, high)) }
    }
}

/// A serial sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct DualSum(Dual);

impl Accumulator<Dual> for DualSum {
    fn add(&mut self, term: Dual) {
        self.0 = self.0 + term;
    }

    fn add_product(&mut self, a: Dual, b: Dual) {
        self.0 = self.0 + a * b;
    }

    fn total(&self) -> Dual {
        self.0
    }
}
