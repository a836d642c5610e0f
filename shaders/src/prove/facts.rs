//! What a path says: conditions that hold on it, and bounds that follow from several of them together.

use std::rc::Rc;

use super::range::{Range, WORD};
use super::terms::{Cond, Def, Exact, Op, Shape, Term, Terms};

/// Facts looked at for one bound.
const FACTS: usize = 24;
/// Remainders looked at for one bound, the latest.
const REMAINDERS: usize = 8;
/// Terms of a choice that are looked at one by one.
const WAYS: usize = 4;
/// Definitions that are followed one after another.
const DEFINITIONS: u32 = 4;

fn floor_div(a: i128, b: i128) -> i128 {
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

    /// Bounds of a form by ranges and up to `depth` facts together.
    pub(super) fn bounds(&mut self, e: Exact, depth: u32) -> Range {
        let range = self.range_of(e);
        if e.scale == 0 {
            return range;
        }
        self.deeper(|terms| {
            let hi = terms.upper(e, depth);
            let negative = Exact { scale: -e.scale, add: -e.add, ..e };
            let lo = -terms.upper(negative, depth);
            range.meet(Range::new(lo, hi))
        })
    }

    /// Bounds of a form by what its atoms are by definition, and at most one fact. Not within itself more than once.
    pub(super) fn bounds_by_definition(&mut self, e: Exact) -> Range {
        if self.defining > 1 {
            return Range::ALL;
        }
        self.defining += 1;
        let mut upper = |e: Exact| {
            let best = self.upper_by_definition(e, DEFINITIONS);
            let facts = self.facts_about(e);
            self.upper_by_facts(e, &facts, best, |terms, e| terms.upper_by_definition(e, DEFINITIONS))
        };
        let negative = Exact { scale: -e.scale, add: -e.add, ..e };
        let range = Range::new(-upper(negative), upper(e));
        self.defining -= 1;
        range
    }

    fn upper(&mut self, e: Exact, depth: u32) -> i128 {
        let best = self.range_of(e).hi;
        if depth == 0 || e.scale == 0 {
            return best;
        }
        if depth > 1
            && let Some(bound) = self.upper_of_ways(e, depth)
        {
            return best.min(bound);
        }
        let facts = self.facts_about(e);
        self.upper_by_facts(e, &facts, best, |terms, e| terms.upper(e, depth - 1))
    }

    /// The same by what atoms are by definition alone: `depth` of them one after another.
    fn upper_by_definition(&mut self, e: Exact, depth: u32) -> i128 {
        let best = self.range_of(e).hi;
        if depth == 0 || e.scale == 0 {
            return best;
        }
        if let Some(bound) = self.upper_of_sides(e, |terms, e| terms.upper_by_definition(e, depth)) {
            return best.min(bound);
        }
        let mut found = Vec::new();
        for &(atom, _) in self.coefficients(e.shape).iter() {
            self.definition(atom, &mut found);
        }
        self.upper_by_facts(e, &found, best, |terms, e| terms.upper_by_definition(e, depth - 1))
    }

    /// The smaller of `best` and what one fact and the bound of the rest say.
    fn upper_by_facts(
        &mut self,
        e: Exact,
        facts: &[(Exact, i128)],
        mut best: i128,
        mut upper: impl FnMut(&mut Self, Exact) -> i128,
    ) -> i128 {
        for &(fact, most) in facts {
            for &(atom, c) in self.coefficients(e.shape).iter() {
                let c = i128::from(c) * e.scale;
                let f =
                    self.coefficients(fact.shape).iter().find(|x| x.0 == atom).map(|x| i128::from(x.1) * fact.scale);
                let Some(f) = f.filter(|f| f.signum() == c.signum()) else { continue };
                // |f|·e = (|f|·e − |c|·fact) + |c|·fact
                let (f, c) = (f.abs(), c.abs());
                let rest = self.mix(e, f, fact, -c);
                best = best.min(floor_div(upper(self, rest) + c * most, f));
            }
        }
        best
    }

    /// The same where an atom is the larger of two that counts, or the smaller of two that is taken away: with each of them in its place.
    fn upper_of_sides(&mut self, e: Exact, mut upper: impl FnMut(&mut Self, Exact) -> i128) -> Option<i128> {
        for &(atom, c) in self.coefficients(e.shape).iter() {
            let c = i128::from(c) * e.scale;
            let (a, b) = match self.atoms[atom as usize].def {
                Def::Op(Op::Max, a, b) if c > 0 => (a, b),
                Def::Op(Op::Min, a, b) if c < 0 => (a, b),
                _ => continue,
            };
            let own = Exact { scale: 1, shape: self.atoms[atom as usize].shape, add: 0 };
            let rest = self.mix(e, 1, own, -c);
            let most = [a, b].map(|side| {
                let side = self.exact(side);
                let replaced = self.mix(rest, 1, side, c);
                upper(self, replaced)
            });
            return Some(most[0].max(most[1]));
        }
        None
    }

    /// The same where an atom of the form is one of a few terms: with each of them in its place.
    fn upper_of_ways(&mut self, e: Exact, depth: u32) -> Option<i128> {
        for &(atom, c) in self.coefficients(e.shape).iter() {
            let Def::Choice(ways) = self.atoms[atom as usize].def.clone() else { continue };
            if ways.len() > WAYS {
                continue;
            }
            let own = Exact { scale: 1, shape: self.atoms[atom as usize].shape, add: 0 };
            let c = i128::from(c) * e.scale;
            let mut most = -Range::ALL.hi;
            for term in self.possible(atom, &ways) {
                let other = self.exact(term);
                let rest = self.mix(e, 1, own, -c);
                let replaced = self.mix(rest, 1, other, c);
                most = most.max(self.upper(replaced, depth));
            }
            return Some(most);
        }
        None
    }

    /// Forms that share an atom with this one, and what they are at most.
    fn facts_about(&mut self, e: Exact) -> Vec<(Exact, i128)> {
        let atoms = self.coefficients(e.shape);
        let mut found = Vec::new();
        for shape in self.facts().into_iter().take(FACTS) {
            let shared = self.coefficients(shape).iter().any(|c| atoms.iter().any(|a| a.0 == c.0));
            if shared && shape != e.shape {
                let range = self.shape_range(shape);
                found.push((Exact { scale: 1, shape, add: 0 }, range.hi));
                found.push((Exact { scale: -1, shape, add: 0 }, -range.lo));
            }
        }
        for &(atom, _) in atoms.iter() {
            self.definition(atom, &mut found);
        }
        // x − x mod c is a multiple of c, and at most the last one that x may reach
        for n in (0..self.remainders.len()).rev().take(REMAINDERS) {
            let (x, by, rest) = self.remainders[n];
            let shared = self.coefficients(x.shape).iter().any(|c| atoms.iter().any(|a| a.0 == c.0));
            let range = self.range(x);
            if !shared || range.lo < 0 {
                continue;
            }
            let (x, own) = (self.exact(x), self.atoms[rest as usize].shape);
            let d = self.minus(x, Exact { scale: 1, shape: own, add: 0 });
            found.push((Exact { add: 0, ..d }, floor_div(range.hi, by) * by - d.add));
        }
        found
    }

    /// What an atom is by its definition, as forms and what they are at most.
    fn definition(&mut self, atom: u32, found: &mut Vec<(Exact, i128)>) {
        let own = Exact { scale: 1, shape: self.atoms[atom as usize].shape, add: 0 };
        let Def::Op(op, a, b) = self.atoms[atom as usize].def.clone() else { return };
        let (x, y) = (self.exact(a), self.exact(b));
        let most = |terms: &mut Self, left: Exact, c: i128, right: Exact, found: &mut Vec<(Exact, i128)>| {
            // c·left − right ≤ 0
            let d = terms.mix(left, c, right, -1);
            found.push((Exact { add: 0, ..d }, -d.add));
        };
        match op {
            Op::Min => {
                most(self, own, 1, x, found);
                most(self, own, 1, y, found);
            }
            Op::Max => {
                most(self, x, 1, own, found);
                most(self, y, 1, own, found);
            }
            Op::Div => {
                let (n, c) = (self.range(a), self.range(b));
                if let (Some(c), true) = (c.single(), n.lo >= 0)
                    && c > 0
                {
                    most(self, own, c, x, found);
                    let d = self.mix(x, 1, own, -c);
                    found.push((Exact { add: 0, ..d }, c - 1 - d.add));
                }
            }
            Op::Mod if self.range(a).lo >= 0 => {
                most(self, own, 1, x, found);
                if self.range(b).lo > 0 {
                    let d = self.mix(own, 1, y, -1);
                    found.push((Exact { add: 0, ..d }, -1 - d.add));
                }
            }
            _ => {}
        }
    }
}
