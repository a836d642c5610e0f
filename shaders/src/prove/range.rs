//! Ranges of whole numbers, and what the operations of WGSL make of them.

use super::terms::Op;

/// 2³².
pub(super) const WORD: i128 = 1 << 32;
/// Beyond every sum of products of words that a kernel forms.
const FAR: i128 = 1 << 100;

/// The numbers lo ..= hi; none if lo > hi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Range {
    pub(super) lo: i128,
    pub(super) hi: i128,
}

impl Range {
    pub(super) const ALL: Self = Self { lo: -FAR, hi: FAR };
    pub(super) const NONE: Self = Self { lo: FAR, hi: -FAR };

    pub(super) const fn new(lo: i128, hi: i128) -> Self {
        Self { lo, hi }
    }
    pub(super) const fn only(n: i128) -> Self {
        Self { lo: n, hi: n }
    }
    pub(super) const fn of_type(signed: bool) -> Self {
        if signed { Self { lo: -WORD / 2, hi: WORD / 2 - 1 } } else { Self { lo: 0, hi: WORD - 1 } }
    }
    pub(super) const fn is_empty(self) -> bool {
        self.lo > self.hi
    }
    pub(super) fn single(self) -> Option<i128> {
        (self.lo == self.hi).then_some(self.lo)
    }
    pub(super) fn meet(self, other: Self) -> Self {
        Self { lo: self.lo.max(other.lo), hi: self.hi.min(other.hi) }
    }
    pub(super) fn hull(self, other: Self) -> Self {
        if self.is_empty() {
            other
        } else if other.is_empty() {
            self
        } else {
            Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
        }
    }
    pub(super) fn plus(self, n: i128) -> Self {
        if self.is_empty() { self } else { Self { lo: clip(self.lo + n), hi: clip(self.hi + n) } }
    }
    pub(super) fn sum(self, other: Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return Self::NONE;
        }
        Self { lo: clip(self.lo + other.lo), hi: clip(self.hi + other.hi) }
    }
    pub(super) fn times(self, n: i128) -> Self {
        if self.is_empty() {
            return self;
        }
        let (a, b) = (product(self.lo, n), product(self.hi, n));
        Self { lo: a.min(b), hi: a.max(b) }
    }
    /// Whether this lies within the other.
    pub(super) fn within(self, other: Self) -> bool {
        self.is_empty() || (self.lo >= other.lo && self.hi <= other.hi)
    }
    fn corners(self, other: Self, f: impl Fn(i128, i128) -> i128) -> Self {
        let all = [f(self.lo, other.lo), f(self.lo, other.hi), f(self.hi, other.lo), f(self.hi, other.hi)];
        all.into_iter().fold(Self::NONE, |range, n| range.hull(Self::only(n)))
    }
}

fn clip(n: i128) -> i128 {
    n.clamp(-FAR, FAR)
}

fn product(a: i128, b: i128) -> i128 {
    clip(a.saturating_mul(b))
}

/// The least 2ⁿ − 1 that is not below n.
fn mask_over(n: i128) -> i128 {
    let mut mask = 0;
    while mask < n {
        mask = 2 * mask + 1;
    }
    mask
}

impl Op {
    /// What the operation makes of numbers from these ranges: a range that holds every result that WGSL allows, division by zero (the left
    /// operand, or 0 for a remainder) and i32's least number by −1 included.
    pub(super) fn range(self, signed: bool, x: Range, y: Range) -> Range {
        let all = Range::of_type(signed);
        if x.is_empty() || y.is_empty() {
            return Range::NONE;
        }
        let positive = x.lo >= 0 && y.lo >= 0;
        let made = match self {
            Self::Div if y.lo > 0 => x.corners(y, |a, b| a / b),
            Self::Div if positive => x.hull(Range::only(0)),
            Self::Mod if y.lo > 0 && x.lo >= 0 && x.hi < y.lo => x,
            Self::Mod if positive && y.lo > 0 => Range::new(0, x.hi.min(y.hi - 1)),
            Self::Mod if positive => Range::new(0, x.hi.min((y.hi - 1).max(0))),
            Self::Mod if y.lo > 0 => Range::new(1 - y.hi, y.hi - 1),
            Self::Mul => {
                let range = x.corners(y, product);
                if range.within(all) { range } else { all }
            }
            Self::And if x.lo >= 0 && y.lo >= 0 => Range::new(0, x.hi.min(y.hi)),
            Self::And if x.lo >= 0 => Range::new(0, x.hi),
            Self::And if y.lo >= 0 => Range::new(0, y.hi),
            Self::Or if positive => Range::new(x.lo.max(y.lo), mask_over(x.hi.max(y.hi))),
            Self::Xor if positive => Range::new(0, mask_over(x.hi.max(y.hi))),
            Self::Shl if x.lo >= 0 && y.within(Range::new(0, 31)) => {
                let range = Range::new(x.lo << y.lo, x.hi << y.hi);
                if range.within(all) { range } else { all }
            }
            Self::Shr if y.within(Range::new(0, 31)) => x.corners(y, |a, b| a >> b),
            Self::Shr if x.lo >= 0 => Range::new(0, x.hi),
            Self::Min => Range::new(x.lo.min(y.lo), x.hi.min(y.hi)),
            Self::Max => Range::new(x.lo.max(y.lo), x.hi.max(y.hi)),
            _ => all,
        };
        made.meet(all)
    }
}

pub(super) fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
