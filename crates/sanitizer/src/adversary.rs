//! Arithmetic as the worst driver that keeps to WGSL would do it.

use crate::arith::{Arith, Precision};

/// Which of the numbers that WGSL allows an operation returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The largest.
    Up,
    /// The smallest.
    Down,
    /// One drawn at random; half of them are the largest or the smallest.
    Random,
}

/// An adversary. What it draws follows from its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adversary {
    /// Seed of what is drawn.
    pub seed: u64,
    /// What is returned.
    pub style: Style,
}

/// A generator of 64-bit numbers (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The numbers below `n` in an order that is drawn.
    pub(crate) fn order(&mut self, n: usize) -> Vec<usize> {
        let mut all: Vec<_> = (0..n).collect();
        for last in (1..n).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            all.swap(last, other);
        }
        all
    }
}

/// [`Arith`] of an adversary. It is a function, as drivers are: the same operation on the same numbers gives the same result. So what is equal by its
/// formula stays equal, and ties stay ties.
pub(crate) struct Worst {
    seed: u64,
    /// For what is drawn anew each time.
    draw: Draw,
    style: Style,
}

impl Worst {
    pub(crate) fn new(adversary: Adversary) -> Self {
        Self { seed: adversary.seed, draw: Draw(adversary.seed), style: adversary.style }
    }

    /// What is drawn for an operation on these numbers.
    fn about(&self, numbers: [f64; 2]) -> Draw {
        let [a, b] = numbers.map(f64::to_bits);
        Draw(self.seed ^ a.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ b.rotate_left(29).wrapping_mul(0xA076_1D64_78BD_642F))
    }

    /// Where in the allowed range, from −1 to 1.
    fn lean(&self, mut draw: Draw) -> f64 {
        match self.style {
            Style::Up => 1.0,
            Style::Down => -1.0,
            Style::Random => match draw.below(4) {
                0 => 1.0,
                1 => -1.0,
                _ => 2.0 * draw.unit() - 1.0,
            },
        }
    }

    /// A denormal may be 0.
    fn flushed(&self, p: Precision, x: f32) -> f32 {
        let is_denormal = x != 0.0 && x.abs() < p.least_normal();
        if is_denormal && self.about([f64::from(x), 1.0]).next() >> 63 == 1 { 0.0 } else { x }
    }
}

impl Arith for Worst {
    const EXACT: bool = false;

    fn coin(&mut self) -> bool {
        self.draw.next() >> 63 == 1
    }

    fn input(&mut self, p: Precision, x: f32) -> f32 {
        self.flushed(p, x)
    }

    fn rounded(&mut self, p: Precision, s: f64, residue: f64) -> f32 {
        let nearest = p.nearest(s);
        let wide = f64::from(nearest);
        if !s.is_finite() || !wide.is_finite() {
            return nearest;
        }
        // The exact number is s + residue, and the residue is too small to be seen in s.
        let (low, high) = if s > wide || (s == wide && residue > 0.0) {
            (nearest, p.above(nearest))
        } else if s < wide || residue < 0.0 {
            (p.below(nearest), nearest)
        } else {
            (nearest, nearest)
        };
        let draw = self.about([s, residue]);
        let chosen = if self.lean(draw.clone()) > 0.0 { high } else { low };
        let chosen = if chosen.is_finite() { chosen } else { nearest };
        let chosen = self.flushed(p, chosen);
        // The sign of zero may be ignored.
        let turns = chosen == 0.0 && self.style == Style::Random && draw.clone().next() & 1 == 1;
        if turns { -chosen } else { chosen }
    }

    fn within(&mut self, p: Precision, exact: f64, radius: f64) -> f32 {
        let nearest = p.nearest(exact);
        if !exact.is_finite() || !nearest.is_finite() || !radius.is_finite() || radius <= 0.0 {
            return nearest;
        }
        let wanted = exact + self.lean(self.about([exact, radius])) * radius;
        let mut x = p.nearest(wanted);
        if (f64::from(x) - exact).abs() > radius {
            x = if f64::from(x) > exact { p.below(x) } else { p.above(x) };
        }
        if !x.is_finite() || (f64::from(x) - exact).abs() > radius {
            x = nearest;
        }
        self.flushed(p, x)
    }
}
