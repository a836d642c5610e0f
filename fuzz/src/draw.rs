//! Decisions from bytes.

use arbitrary::Unstructured;

/// Reads decisions from bytes; zeros once they are used up.
#[derive(Debug)]
pub struct Draw<'a>(Unstructured<'a>);

/// Numbers at which shapes change what is done.
const EDGES: [u64; 48] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    100,
    127,
    128,
    129,
    255,
    256,
    257,
    1000,
    1024,
    4095,
    4096,
    4097,
    16_384,
    65_535,
    65_536,
    65_537,
    131_072,
    1 << 20,
    (1 << 24) - 1,
    (1 << 24) + 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 65_536,
    (1 << 32) - 1,
    1 << 32,
    1 << 53,
    (1 << 62) + 1,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

/// Floats at which arithmetic changes what it does.
const FLOATS: [f64; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    -3.0,
    1e-3,
    88.0,
    -104.0,
    1e4,
    1e-45,
    1e-39,
    1.2e-38,
    -1e-38,
    3e38,
    -3e38,
    3.402_823_4e38,
    -3.402_823_4e38,
    65_504.0,
    1e39,
    1e300,
    5e-324,
    -1e308,
];

/// Which sizes are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Mostly small ones and those at an edge, sometimes anything.
    Any,
    /// At most 40.
    Small,
}

impl<'a> Draw<'a> {
    /// Over these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Whether there are bytes left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// The next eight bytes.
    pub fn word(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// A number below `n`, 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        self.0.int_in_range(0..=n - 1).unwrap_or_default()
    }

    /// True for one value of a byte in `n`.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.byte() % n.max(1) == n.max(1) - 1
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A size: mostly small or at an edge, sometimes anything.
    pub fn size(&mut self) -> u64 {
        match self.byte() % 8 {
            0..=3 => self.pick(&EDGES),
            4 | 5 => u64::from(self.byte()),
            6 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            _ => self.word(),
        }
    }

    /// A size of this kind.
    pub fn sized(&mut self, sizes: Sizes) -> u64 {
        if sizes == Sizes::Any { self.size() } else { u64::from(self.byte() % 41) }
    }

    /// A float: mostly one of the special ones or a small one. Never NaN or infinite.
    pub fn float(&mut self) -> f64 {
        match self.byte() % 3 {
            0 => self.pick(&FLOATS),
            1 => (f64::from(self.byte()) - 128.0) / 16.0,
            _ => {
                let any = f64::from_bits(self.word());
                if any.is_finite() { any } else { 1.0 }
            }
        }
    }

    /// Any f32, NaN and infinities too.
    pub fn any_f32(&mut self) -> f32 {
        match self.byte() % 8 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => f32::from_bits(u32::from(self.byte()) << 24 | u32::from(self.byte())),
            _ => {
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "rounding to f32 is meant; too large becomes infinite"
                )]
                let near = self.float() as f32;
                near
            }
        }
    }

    /// A word that is hostile as an index: small, at an edge, or anything.
    pub fn index(&mut self) -> u32 {
        u32::try_from(self.size() & u64::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    /// The bytes that are left.
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }
}
