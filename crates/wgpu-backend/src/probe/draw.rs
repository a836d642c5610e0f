//! Numbers for self-tests, the same in every run (splitmix64).

/// Seed of every self-test: its verdict names it, so that a failure can be made again.
pub(crate) const SEED: u64 = 0x6A7E_F01D;

/// A sequence of numbers.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 32 random bits.
    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.bits() >> 32).unwrap_or(0)
    }

    /// A uniform number from `low` up to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The same, rounded to f32.
    pub(crate) fn single(&mut self, low: f64, high: f64) -> f32 {
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
        let value = self.between(low, high) as f32;
        value
    }

    /// A whole number from −`most` to `most`, as f32.
    pub(crate) fn whole(&mut self, most: u16) -> f32 {
        let span = u64::from(most) * 2 + 1;
        f32::from(u16::try_from(self.bits() % span).unwrap_or(0)) - f32::from(most)
    }
}
