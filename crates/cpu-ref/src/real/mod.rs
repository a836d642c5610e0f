//! The number types that the definitions are evaluated in: f64 is the truth, [`Dual`] checks derivatives, [`Err`] gives the bound of
//! every element, [`Dd`] checks the f64 by twice its precision, f32 shows what a plain kernel would give.

mod double;
mod dual;
mod err;
mod plain;

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

pub use double::{Dd, DdSum};
pub use dual::Dual;
pub use err::{Err, ErrSum, FLUSH, UNIT};
pub use plain::PlainSum;

/// A real number, in some representation. Comparisons and branches are by [`Real::value`].
pub trait Real:
    Copy
    + Debug
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// How sums of this type are formed.
    type Sum: Accumulator<Self>;

    /// A constant, exact.
    fn from_f64(x: f64) -> Self;
    /// The number itself.
    fn value(self) -> f64;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// `1/√x` of an `x` above 0.
    fn inverse_sqrt(self) -> Self;
    /// `√x` of an `x` of 0 or more; where it is 0, so is the derivative.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The nearest number in `[−limit, limit]`.
    fn clamp(self, limit: f64) -> Self;
    /// `ln(1 + x)` of an `x` of 0 to 1, to a relative accuracy.
    fn ln_1p(self) -> Self;
    /// The nearest number in `[low, high]`, of which either may be infinite; of slope 1 in `(low, high]`, else 0.
    fn within(self, low: f64, high: f64) -> Self;

    /// The same number as a constant, which a derivative does not see.
    #[must_use]
    fn detached(self) -> Self {
        self
    }

    /// 1 where positive, else 0; of slope 0.
    fn step(self) -> Self {
        Self::from_f64(f64::from(u8::from(self.value() > 0.0)))
    }

    /// `1/x`, and 0 where `x` is 0: what a row is multiplied by that is divided by `x`.
    fn share(self) -> Self {
        if self.value() == 0.0 { Self::from_f64(0.0) } else { Self::from_f64(1.0) / self }
    }

    /// `f` of it, a function of the user's own with its derivative, if that is given; a kernel's may be off by `ulps` (see [`Err`]).
    #[must_use]
    fn apply(self, f: &dyn Fn(f64) -> f64, slope: Option<&dyn Fn(f64) -> f64>, ulps: f64) -> Self {
        let _ = (slope, ulps);
        Self::from_f64(f(self.value()))
    }

    /// Magnitude.
    fn abs(self) -> Self {
        if self.value() < 0.0 { -self } else { self }
    }

    /// The larger by value.
    fn max(self, other: Self) -> Self {
        if self.value() < other.value() { other } else { self }
    }

    /// Not a number.
    fn nan() -> Self {
        Self::from_f64(f64::NAN)
    }

    /// The same number; a kernel may round it by a further `units`·2⁻²⁴ of its magnitude.
    #[must_use]
    fn charge(self, units: f64) -> Self {
        let _ = units;
        self
    }

    /// The same number, rounded to f16 by a kernel, in either direction, in a scale in which numbers from `least` on are normal.
    #[must_use]
    fn through_f16(self, least: f64) -> Self {
        let _ = least;
        self
    }

    /// How far a kernel's number may be from this one.
    fn uncertainty(self) -> f64 {
        0.0
    }

    /// The same number, which a kernel cannot miss by more than `most` for a reason that step-by-step bounds do not see.
    #[must_use]
    fn certain_within(self, most: f64) -> Self {
        let _ = most;
        self
    }

    /// Subtracts the largest logit from all of them and returns it. The caller's result must not depend on what is subtracted.
    fn center(logits: &mut [Self]) -> Self {
        let peak = logits.iter().copied().reduce(Self::max).unwrap_or_else(|| Self::from_f64(0.0));
        for z in logits {
            *z = *z - peak;
        }
        peak
    }

    /// Sum of terms, in any order.
    fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::Sum::default();
        for t in terms {
            sum.add(t);
        }
        sum.total()
    }

    /// `Σ a·b`, in any order.
    fn dot(a: &[Self], b: &[Self]) -> Self {
        let mut sum = Self::Sum::default();
        for (&x, &y) in a.iter().zip(b) {
            sum.add_product(x, y);
        }
        sum.total()
    }
}

/// A sum in the making.
pub trait Accumulator<R>: Clone + Default + Send + Sync {
    /// Adds a term.
    fn add(&mut self, term: R);
    /// Adds a product.
    fn add_product(&mut self, a: R, b: R);
    /// The sum, formed by a kernel in any order, even serially.
    fn total(&self) -> R;

    /// As [`Accumulator::total_in_depth`]; a kernel may also rescale its partial sums once for every 16 terms or more (online softmax).
    fn total_rescaled(&self, depth: usize) -> R {
        self.total_in_depth(depth)
    }

    /// The sum; a kernel forms it in stages, so that no term goes through more than `depth` additions.
    fn total_in_depth(&self, depth: usize) -> R {
        let _ = depth;
        self.total()
    }
}
