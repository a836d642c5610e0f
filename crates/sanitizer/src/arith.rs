//! Floating-point arithmetic, exact to the last bit or as an adversary likes it.

use half::f16;

/// Storage type of a result. Registers hold `f32` whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    F32,
    F16,
}

impl Precision {
    /// The nearest number of this type, ties to even.
    pub(crate) fn nearest(self, x: f64) -> f32 {
        match self {
            #[allow(clippy::cast_possible_truncation, reason = "rounding is meant")]
            Self::F32 => x as f32,
            Self::F16 => f16::from_f64(x).to_f32(),
        }
    }

    /// The next number above.
    pub(crate) fn above(self, x: f32) -> f32 {
        match self {
            Self::F32 => x.next_up(),
            Self::F16 => {
                let bits = f16::from_f32(x).to_bits();
                let next = match bits {
                    0x8000 => 1,
                    _ if bits & 0x8000 != 0 => bits - 1,
                    0x7c00.. => bits,
                    _ => bits + 1,
                };
                f16::from_bits(next).to_f32()
            }
        }
    }

    /// The next number below.
    pub(crate) fn below(self, x: f32) -> f32 {
        -self.above(-x)
    }

    pub(crate) fn least_normal(self) -> f32 {
        match self {
            Self::F32 => f32::MIN_POSITIVE,
            Self::F16 => f16::MIN_POSITIVE.to_f32(),
        }
    }

    /// One unit in the last place of `x`.
    pub(crate) fn ulp(self, x: f64) -> f64 {
        let (digits, least) = match self {
            Self::F32 => (23, -126),
            Self::F16 => (10, -14),
        };
        if !x.is_finite() {
            return 0.0;
        }
        let bits = (x.abs().to_bits() >> 52) & 0x7ff;
        let exponent = i32::try_from(bits).unwrap_or(0) - 1023;
        f64::from(exponent.max(least) - digits).exp2()
    }

    /// `32` or `16`, as WGSL's table has two columns.
    pub(crate) fn pick<T>(self, wide: T, narrow: T) -> T {
        match self {
            Self::F32 => wide,
            Self::F16 => narrow,
        }
    }
}

/// The error of `a + b` as f64: what must be added to the sum to be exact.
fn residue(a: f64, b: f64, sum: f64) -> f64 {
    let b_part = sum - a;
    (a - (sum - b_part)) + (b - b_part)
}

/// How operations round.
pub(crate) trait Arith {
    /// Whether every result is the nearest number.
    const EXACT: bool;

    /// Something that may be either.
    fn coin(&mut self) -> bool;

    /// An operand, which may be flushed.
    fn input(&mut self, p: Precision, x: f32) -> f32;

    /// A correctly rounded result: `s` is the nearest f64 to it, `residue` what is missing.
    fn rounded(&mut self, p: Precision, s: f64, residue: f64) -> f32;

    /// A result no farther than `radius` from the exact one.
    fn within(&mut self, p: Precision, exact: f64, radius: f64) -> f32;

    fn add(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        let (x, y) = (f64::from(self.input(p, x)), f64::from(self.input(p, y)));
        let sum = x + y;
        self.rounded(p, sum, residue(x, y, sum))
    }

    fn sub(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        self.add(p, x, -y)
    }

    fn mul(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        let (x, y) = (f64::from(self.input(p, x)), f64::from(self.input(p, y)));
        self.rounded(p, x * y, 0.0)
    }

    /// One rounding.
    fn fused(&mut self, p: Precision, x: f32, y: f32, z: f32) -> f32 {
        let (product, z) = (f64::from(x) * f64::from(y), f64::from(z));
        let sum = product + z;
        self.rounded(p, sum, residue(product, z, sum))
    }

    fn div(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        let (x, y) = (self.input(p, x), self.input(p, y));
        let quotient = f64::from(x) / f64::from(y);
        // Beyond 2^126 (f16: 2^14) nothing is promised; drivers give 0 there.
        if !Self::EXACT && y.abs() > p.pick(8.507_059e37, 16_384.0) && self.coin() {
            return 0.0;
        }
        // Nor does any driver make something of nothing, which the letter of the table allows: 2.5 ULP of 0 are two denormals.
        if p.nearest(quotient) == 0.0 {
            return 0.0;
        }
        self.within(p, quotient, 2.5 * p.ulp(quotient))
    }

    /// A conversion to `p`.
    fn narrow(&mut self, p: Precision, x: f64) -> f32 {
        self.rounded(p, x, 0.0)
    }
}

/// Round to nearest, as CPUs do.
pub(crate) struct Nearest;

impl Arith for Nearest {
    const EXACT: bool = true;

    fn coin(&mut self) -> bool {
        false
    }

    fn input(&mut self, _: Precision, x: f32) -> f32 {
        x
    }

    fn rounded(&mut self, p: Precision, s: f64, _: f64) -> f32 {
        p.nearest(s)
    }

    fn within(&mut self, p: Precision, exact: f64, _: f64) -> f32 {
        p.nearest(exact)
    }

    fn add(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        match p {
            Precision::F32 => x + y,
            Precision::F16 => p.nearest(f64::from(x) + f64::from(y)),
        }
    }

    fn mul(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        match p {
            Precision::F32 => x * y,
            Precision::F16 => p.nearest(f64::from(x) * f64::from(y)),
        }
    }

    fn fused(&mut self, p: Precision, x: f32, y: f32, z: f32) -> f32 {
        match p {
            Precision::F32 => x.mul_add(y, z),
            Precision::F16 => p.nearest(f64::from(x).mul_add(f64::from(y), f64::from(z))),
        }
    }

    fn div(&mut self, p: Precision, x: f32, y: f32) -> f32 {
        match p {
            Precision::F32 => x / y,
            Precision::F16 => p.nearest(f64::from(x) / f64::from(y)),
        }
    }
}
