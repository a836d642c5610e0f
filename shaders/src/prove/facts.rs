//! What a path says: conditions that hold on it.

use std::rc::Rc;

use super::range::{Range, WORD};
use super::terms::{Cond, Def, Exact, Op, Shape, Term, Terms};

pub(super) fn floor_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b)
}

impl Terms {
    /// Whether a condition holds on this path, if that is known.
    pub(super) fn decide(&mut self, cond: &Cond) -> Option<bool> {
        match cond {
            Cond::Known(b) => Some(*b),
            Cond::Unknown => None,
            Cond::Less(a, b) => {
                let range = self.difference(*a, *b);
                if range.is_empty() || range.hi < 0 { Some(true) } else { (range.lo >= 0).then_some(false) }
            }
            Cond::Equal(a, b) => {
                let range = self.difference(*a, *b);
                if range.is_empty() || range == Range::only(0) {
                    Some(true)
                } else {
                    (range.lo > 0 || range.hi < 0).then_some(false)
                }
            }
            Cond::Not(c) => self.decide(c).map(|b| !b),
            Cond::And(a, b) => match (self.decide(a), self.decide(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Cond::Or(a, b) => match (self.decide(a), self.decide(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }

    fn difference(&mut self, a: Term, b: Term) -> Range {
        let (x, y) = (self.range(a), self.range(b));
        let apart = x.sum(y.times(-1));
        if apart.lo > 0 || apart.hi < 0 || (a.scale == 0 && b.scale == 0) {
            return apart;
        }
        let (x, y) = (self.exact(a), self.exact(b));
        let d = self.minus(x, y);
        self.range_of(d).meet(apart)
    }

    /// Makes the path one on which the condition is as told.
    pub(super) fn assume(&mut self, cond: &Rc<Cond>, holds: bool) {
        match (&**cond, holds) {
            (Cond::Known(b), _) => self.dead |= *b != holds,
            (Cond::Unknown, _) => {}
            (Cond::Not(c), _) => self.assume(c, !holds),
            (Cond::And(a, b), true) | (Cond::Or(a, b), false) => {
                self.assume(a, holds);
                self.assume(b, holds);
            }
            (Cond::And(a, b), false) | (Cond::Or(a, b), true) => {
                // if one cannot be so, the other is
                if self.decide(a) == Some(!holds) {
                    self.assume(b, holds);
                } else if self.decide(b) == Some(!holds) {
                    self.assume(a, holds);
                }
            }
            (Cond::Less(a, b), _) => {
                let (x, y) = (self.exact(*a), self.exact(*b));
                let d = self.minus(x, y);
                self.keep_in(d, if holds { Range::new(Range::ALL.lo, -1) } else { Range::new(0, Range::ALL.hi) });
            }
            (Cond::Equal(a, b), _) => self.assume_equal(*a, *b, holds),
        }
    }

    fn assume_equal(&mut self, a: Term, b: Term, holds: bool) {
        let (x, y) = (self.exact(a), self.exact(b));
        let d = self.minus(x, y);
        if holds {
            self.keep_in(d, Range::only(0));
            return;
        }
        let range = self.range_of(d);
        if range == Range::only(0) {
            self.dead = true;
        } else if range.lo == 0 {
            self.keep_in(d, Range::new(1, Range::ALL.hi));
        } else if range.hi == 0 {
            self.keep_in(d, Range::new(Range::ALL.lo, -1));
        }
    }

    /// Makes the path one on which the form lies in the range; what follows for its parts is found too.
    pub(super) fn keep_in(&mut self, e: Exact, range: Range) {
        if e.scale == 0 {
            self.dead |= !Range::only(e.add).within(range);
            return;
        }
        let (lo, hi) = (range.lo - e.add, range.hi - e.add);
        // scale·shape in lo ..= hi
        let inner = if e.scale > 0 {
            Range::new(-floor_div(-lo, e.scale), floor_div(hi, e.scale))
        } else {
            Range::new(-floor_div(hi, -e.scale), floor_div(-lo, -e.scale))
        };
        self.keep_shape(e.shape, inner, 0);
    }

    fn keep_shape(&mut self, shape: Shape, range: Range, depth: u32) {
        if !self.refine(shape, range) || self.dead || depth > 8 {
            return;
        }
        let coefficients = self.coefficients(shape);
        if let [(atom, 1)] = coefficients[..] {
            self.keep_atom(atom, depth);
            return;
        }
        let whole = self.shape_range(shape);
        for &(atom, c) in coefficients.iter() {
            let own = self.atoms[atom as usize].shape;
            let mut rest = Range::only(0);
            for &(other, k) in coefficients.iter().filter(|o| o.0 != atom) {
                let shape = self.atoms[other as usize].shape;
                rest = rest.sum(self.shape_range(shape).times(k.into()));
            }
            let part = whole.sum(rest.times(-1));
            if !part.is_empty() {
                self.keep_scaled(own, c.into(), part, depth + 1);
            }
        }
    }

    fn keep_scaled(&mut self, shape: Shape, c: i128, part: Range, depth: u32) {
        let inner = if c > 0 {
            Range::new(-floor_div(-part.lo, c), floor_div(part.hi, c))
        } else {
            Range::new(-floor_div(part.hi, -c), floor_div(-part.lo, -c))
        };
        self.keep_shape(shape, inner, depth);
    }

    /// What an atom's range says about what it is made of.
    fn keep_atom(&mut self, atom: u32, depth: u32) {
        let range = self.shape_range(self.atoms[atom as usize].shape);
        let keep = |terms: &mut Self, t: Term, range: Range| terms.keep_term(t, range, depth);
        match self.atoms[atom as usize].def.clone() {
            Def::Op(Op::Div, a, b) => {
                let (x, y) = (self.range(a), self.range(b));
                if let (Some(c), true) = (y.single(), x.lo >= 0)
                    && c > 0
                {
                    keep(self, a, Range::new(range.lo * c, range.hi * c + c - 1));
                }
            }
            Def::Op(Op::Min, a, b) => {
                let above = Range::new(range.lo, Range::ALL.hi);
                keep(self, a, above);
                keep(self, b, above);
                // the smaller of the two: if one is above, it is the other
                let (x, y) = (self.range(a), self.range(b));
                if x.lo > range.hi {
                    keep(self, b, range);
                } else if y.lo > range.hi {
                    keep(self, a, range);
                }
            }
            Def::Op(Op::Max, a, b) => {
                let below = Range::new(Range::ALL.lo, range.hi);
                keep(self, a, below);
                keep(self, b, below);
                let (x, y) = (self.range(a), self.range(b));
                if x.hi < range.lo {
                    keep(self, b, range);
                } else if y.hi < range.lo {
                    keep(self, a, range);
                }
            }
            Def::Whole(t) => self.keep_whole(t, range, depth),
            Def::Choice(ways) if depth < 4 => self.keep_choice(&ways, range, depth),
            _ => {}
        }
    }

    /// The term lies in a range, as a number of an atom of this depth says.
    fn keep_term(&mut self, t: Term, range: Range, depth: u32) {
        let e = self.exact(t);
        if e.scale == 0 {
            self.dead |= !Range::only(e.add).within(range);
        } else {
            self.keep_scaled(e.shape, e.scale, range.plus(-e.add), depth + 1);
        }
    }

    /// A form that may wrap lies in a range.
    fn keep_whole(&mut self, t: Term, range: Range, depth: u32) {
        let form = Exact { scale: t.scale.into(), shape: t.shape, add: t.add.into() };
        let inside = self.range_of(form);
        // the form less one of the multiples of 2^32 that it spans; only if one remains
        let ways: Vec<i128> =
            (-3..=3).map(|n| n * WORD).filter(|&turn| !inside.meet(range.plus(turn)).is_empty()).collect();
        if let [turn] = ways[..]
            && inside.within(Range::new(-3 * WORD, 3 * WORD))
        {
            self.keep_scaled(t.shape, form.scale, range.plus(turn - form.add), depth + 1);
        }
    }

    /// A choice lies in a range: if one way remains, it is taken.
    fn keep_choice(&mut self, ways: &[(Vec<Rc<Cond>>, Term)], range: Range, depth: u32) {
        let mut left = Vec::new();
        for (n, (conditions, term)) in ways.iter().enumerate() {
            let can = conditions.iter().all(|c| self.decide(c) != Some(false));
            if can && !self.range(*term).meet(range).is_empty() {
                left.push(n);
            }
        }
        if let [one] = left[..] {
            let (conditions, term) = &ways[one];
            self.keep_term(*term, range, depth);
            for c in conditions {
                self.assume(c, true);
            }
        }
    }
}
