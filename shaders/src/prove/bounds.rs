//! Bounds of a form that follow from several facts together, or from what its atoms are by definition.

use super::facts::floor_div;
use super::range::Range;
use super::terms::{Def, Exact, Op, Terms};

/// Facts looked at for one bound.
const FACTS: usize = 24;
/// Remainders looked at for one bound, the latest.
const REMAINDERS: usize = 8;
/// Terms of a choice that are looked at one by one.
const WAYS: usize = 4;
/// Definitions that are followed one after another.
const DEFINITIONS: u32 = 4;

impl Terms {
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
        if let Some(bound) = self.upper_of_ways(e, 2) {
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

    /// The same where an atom of the form is one of a few terms: with each of them in its place, and what held where that one was chosen.
    fn upper_of_ways(&mut self, e: Exact, depth: u32) -> Option<i128> {
        for &(atom, c) in self.coefficients(e.shape).iter() {
            let Def::Choice(ways) = self.atoms[atom as usize].def.clone() else { continue };
            if ways.len() > WAYS {
                continue;
            }
            let own = Exact { scale: 1, shape: self.atoms[atom as usize].shape, add: 0 };
            let c = i128::from(c) * e.scale;
            let rest = self.mix(e, 1, own, -c);
            let mut most = -Range::ALL.hi;
            for (conditions, term) in ways.iter() {
                let (mark, dead) = (self.mark(), self.dead);
                conditions.iter().for_each(|condition| self.assume(condition, true));
                if !self.dead {
                    let other = self.exact(*term);
                    let replaced = self.mix(rest, 1, other, c);
                    most = most.max(self.upper(replaced, depth));
                }
                self.undo(mark);
                self.dead = dead;
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
