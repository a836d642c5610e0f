//! f64 and f32 as they are.

use super::{Accumulator, Real};

/// A serial sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainSum<R>(R);

macro_rules! plain {
    ($float:ident) => {
        impl Real for $float {
            type Sum = PlainSum<$float>;

            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
            fn from_f64(x: f64) -> Self {
                x as $float
            }

            fn value(self) -> f64 {
                f64::from(self)
            }

            fn exp(self) -> Self {
                $float::exp(self)
            }

            fn ln(self) -> Self {
                $float::ln(self)
            }

            fn inverse_sqrt(self) -> Self {
                $float::sqrt(self).recip()
            }

            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }

            fn tanh(self) -> Self {
                $float::tanh(self)
            }

            fn clamp(self, limit: f64) -> Self {
                let limit = Self::from_f64(limit);
                $float::clamp(self, -limit, limit)
            }

            fn ln_1p(self) -> Self {
                $float::ln_1p(self)
            }

            fn within(self, low: f64, high: f64) -> Self {
                $float::clamp(self, Self::from_f64(low), Self::from_f64(high))
            }
        }

        impl Accumulator<$float> for PlainSum<$float> {
            fn add(&mut self, term: $float) {
                self.0 += term;
            }

            fn add_product(&mut self, a: $float, b: $float) {
                self.0 += a * b;
            }

            fn total(&self) -> $float {
                self.0
            }
        }
    };
}

plain!(f64);
plain!(f32);
