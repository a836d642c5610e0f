//! What a term is on the path at hand, where it was made by choices.

use std::rc::Rc;

use super::range::Range;
use super::terms::{Atom, Cond, Def, Exact, Term, Terms};

impl Terms {
    /// The same number; as an atom of its own if its form says less of it than the path does.
    pub(super) fn settled(&mut self, t: Term) -> Term {
        let Some(&id) = self.wholes.get(&t) else { return t };
        let form = Exact { scale: t.scale.into(), shape: t.shape, add: t.add.into() };
        let shape = self.atoms[id as usize].shape;
        if self.turns(t.signed, form).is_some() || self.shape_range(shape) == Range::of_type(t.signed) {
            return t;
        }
        Term { scale: 1, shape, add: 0, ..t }
    }

    /// The same number; if it is one of several and only one can be on this path, that one.
    pub(super) fn resolved(&mut self, t: Term) -> Term {
        let [(atom, 1)] = self.coefficients(t.shape)[..] else { return t };
        let Def::Choice(ways) = self.atoms[atom as usize].def.clone() else { return t };
        match self.possible(atom, &ways)[..] {
            [one] => {
                let zero = Self::constant(t.signed, t.add.into());
                let resolved = self.combine(zero, 1, one, t.scale.into());
                self.resolved(resolved)
            }
            _ => t,
        }
    }

    /// The terms that a choice may be on this path.
    pub(super) fn possible(&mut self, atom: Atom, ways: &[(Vec<Rc<Cond>>, Term)]) -> Vec<Term> {
        let shape = self.atoms[atom as usize].shape;
        let range = self.shape_range(shape);
        let mut found = Vec::new();
        for (conditions, term) in ways {
            let can = conditions.iter().all(|c| self.decide(c) != Some(false));
            if can && !self.range(*term).meet(range).is_empty() && !found.contains(term) {
                found.push(*term);
            }
        }
        found
    }
}
