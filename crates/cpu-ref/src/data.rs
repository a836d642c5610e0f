//! Numbers for test cases: the same for a seed on every machine, so a generator of our own and no library function that rounds freely.

/// Steele, Lea & Flood's SplitMix64 (OOPSLA 2014): state plus a constant, then a bijective mix.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A stream for `seed`; `salt` keeps the streams of different ops apart.
    pub fn new(seed: u64, salt: u64) -> Self {
        let mut rng = Self(seed ^ salt.rotate_left(32));
        rng.next_u64();
        rng
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "the result is below n")]
        let drawn = ((u128::from(self.next_u64()) * n as u128) >> 64) as usize;
        drawn
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Nearly normal, mean 0, variance 1, within ±6: the sum of twelve uniform numbers, which unlike a logarithm is the same everywhere.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// How the numbers of a tensor look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Family {
    /// Normal, times the factor.
    Normal(f32),
    /// Uniform in −1 to 1.
    Uniform,
    /// All the same number.
    Equal,
    /// All zero.
    Zero,
    /// One 1 in each row.
    OneHot,
    /// +1, −1, +1, …, slightly disturbed.
    Alternating,
    /// Pairs that cancel but for a 2⁻¹².
    Cancelling,
    /// Small integers: ties everywhere.
    Integers,
    /// Below the smallest normal f32.
    Denormal,
    /// ± the number in the first column of each row, 0 elsewhere.
    Spike(f32),
}

impl Family {
    /// Whether most outputs may be zero or tiny.
    pub fn is_degenerate(self) -> bool {
        matches!(self, Self::Zero | Self::OneHot | Self::Denormal | Self::Spike(_) | Self::Cancelling)
    }

    /// `rows` rows of `width` numbers.
    pub fn fill(self, rng: &mut Rng, rows: usize, width: usize) -> Vec<f32> {
        let constant = rng.normal();
        let mut all = Vec::with_capacity(rows * width);
        for _ in 0..rows {
            let hot = rng.below(width);
            let sign = if rng.chance(50) { 1.0 } else { -1.0 };
            for at in 0..width {
                let alternating = if at % 2 == 0 { 1.0 } else { -1.0 };
                all.push(match self {
                    Self::Normal(factor) => factor * rng.normal(),
                    Self::Uniform => 2.0 * rng.unit() - 1.0,
                    Self::Equal => constant,
                    Self::Zero => 0.0,
                    Self::OneHot => f32::from(u8::from(at == hot)),
                    Self::Alternating => alternating * (1.0 + 0.001 * rng.unit()),
                    Self::Cancelling => alternating * 4.0 + rng.normal() / 4096.0,
                    Self::Integers => (rng.below(5) as f32) - 2.0,
                    Self::Denormal => rng.normal() * 1e-39,
                    Self::Spike(height) if at == 0 => sign * height,
                    Self::Spike(_) => 0.0,
                });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_pinned() {
        let mut rng = Rng(0);
        assert_eq!(rng.next_u64(), 0xe220_a839_7b1d_cdaf, "SplitMix64's published first output for seed 0");
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut rng = Rng::new(7, 1);
        let drawn: Vec<f64> = (0..20_000).map(|_| f64::from(rng.normal())).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
