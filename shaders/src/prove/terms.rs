//! Integers of a kernel as linear forms, and what is known of them on the path at hand.
//!
//! A [`Term`] is `scale·shape + add` modulo 2³², read as u32 or i32; a shape is a sum of atoms with coefficients without a common factor, the
//! first of them positive. Since sums are formed modulo 2³², a term is right wherever it is used; which number it is follows from the range of the
//! form in whole numbers: if that lies within one multiple of 2³², the form less that multiple is the number exactly.

use std::collections::HashMap;
use std::rc::Rc;

use super::range::{Range, WORD, gcd};

pub(super) type Atom = u32;
pub(super) type Shape = u32;

/// An integer: `scale·shape + add` modulo 2³². A constant has scale 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pub(super) signed: bool,
    pub(super) scale: i64,
    pub(super) shape: Shape,
    pub(super) add: i64,
}

/// The same in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact {
    pub(super) scale: i128,
    pub(super) shape: Shape,
    pub(super) add: i128,
}

/// Operations that are no linear forms. Shifts, masks and unsigned remainders by constants are among the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Div,
    Mod,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Min,
    Max,
}

/// A truth value that may depend on integers.
#[derive(Debug)]
pub(super) enum Cond {
    Known(bool),
    Unknown,
    /// Left < right, as the numbers that they are.
    Less(Term, Term),
    Equal(Term, Term),
    Not(Rc<Cond>),
    And(Rc<Cond>, Rc<Cond>),
    Or(Rc<Cond>, Rc<Cond>),
}

/// What an atom is.
#[derive(Debug, Clone)]
pub(super) enum Def {
    Free,
    Op(Op, Term, Term),
    /// A term whose form spans several multiples of 2³².
    Whole(Term),
    /// One of several terms, by conditions that held where it was chosen.
    Choice(Rc<[(Vec<Rc<Cond>>, Term)]>),
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) def: Def,
    pub(super) base: Range,
    pub(super) shape: Shape,
}

/// All terms of a run, and the facts of the path at hand.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) atoms: Vec<Known>,
    shapes: Vec<Rc<[(Atom, i64)]>>,
    ids: HashMap<Rc<[(Atom, i64)]>, Shape>,
    ops: HashMap<(Op, Term, Term), Atom>,
    pub(super) wholes: HashMap<Term, Atom>,
    /// Remainders by constants: `x mod by`, and the atom that it is.
    pub(super) remainders: Vec<(Term, i128, Atom)>,
    /// Refinement of each shape's range on this path.
    pub(super) refined: Vec<Range>,
    /// What to restore: shape and its range before.
    trail: Vec<(Shape, Range)>,
    memo: Vec<(u64, Range)>,
    epoch: u64,
    /// Whether the path at hand cannot be.
    pub(super) dead: bool,
    depth: u32,
    /// How many searches by definition are being made, one within another.
    pub(super) defining: u32,
}

fn symmetric(n: i128) -> i128 {
    let low = n.rem_euclid(WORD);
    if low > WORD / 2 { low - WORD } else { low }
}

#[allow(clippy::cast_possible_truncation, reason = "reduced modulo 2^32, or a coefficient of a difference of two such")]
fn short(n: i128) -> i64 {
    n as i64
}

impl Terms {
    pub(super) fn constant(signed: bool, n: i128) -> Term {
        Term { signed, scale: 0, shape: 0, add: short(symmetric(n)) }
    }

    pub(super) fn new() -> Self {
        let mut terms = Self { epoch: 1, ..Self::default() };
        terms.shape_of(Vec::new());
        terms
    }

    pub(super) fn coefficients(&self, shape: Shape) -> Rc<[(Atom, i64)]> {
        Rc::clone(&self.shapes[shape as usize])
    }

    fn shape_of(&mut self, coefficients: Vec<(Atom, i64)>) -> Shape {
        if let Some(&id) = self.ids.get(coefficients.as_slice()) {
            return id;
        }
        let id = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        let key: Rc<[(Atom, i64)]> = coefficients.into();
        self.shapes.push(Rc::clone(&key));
        self.ids.insert(key, id);
        self.refined.push(Range::ALL);
        self.memo.push((0, Range::ALL));
        id
    }

    /// A form of shape, from coefficients that may have a common factor.
    fn form(&mut self, mut coefficients: Vec<(Atom, i128)>) -> (i128, Shape) {
        coefficients.retain(|c| c.1 != 0);
        let Some(&(_, first)) = coefficients.first() else { return (0, 0) };
        let factor = coefficients.iter().fold(0, |g, c| gcd(g, c.1.unsigned_abs()));
        let factor = i128::try_from(factor).unwrap_or(1) * first.signum();
        (factor, self.shape_of(coefficients.into_iter().map(|(a, c)| (a, short(c / factor))).collect()))
    }

    fn merged(&self, a: (i128, Shape), b: (i128, Shape)) -> Vec<(Atom, i128)> {
        let (left, right) = (&self.shapes[a.1 as usize], &self.shapes[b.1 as usize]);
        let mut out = Vec::with_capacity(left.len() + right.len());
        let (mut i, mut j) = (0, 0);
        while i < left.len() || j < right.len() {
            let l = left.get(i).map_or(Atom::MAX, |c| c.0);
            let r = right.get(j).map_or(Atom::MAX, |c| c.0);
            let mut c = 0;
            if l <= r {
                c += a.0 * i128::from(left[i].1);
                i += 1;
            }
            if r <= l {
                c += b.0 * i128::from(right[j].1);
                j += 1;
            }
            out.push((l.min(r), c));
        }
        out
    }

    pub(super) fn add(&mut self, a: Term, b: Term) -> Term {
        self.combine(a, 1, b, 1)
    }

    pub(super) fn sub(&mut self, a: Term, b: Term) -> Term {
        self.combine(a, 1, b, -1)
    }

    /// `a·ca + b·cb` modulo 2³², of a's type.
    pub(super) fn combine(&mut self, a: Term, ca: i128, b: Term, cb: i128) -> Term {
        let add = short(symmetric(i128::from(a.add) * ca + i128::from(b.add) * cb));
        if b.scale == 0 && ca == 1 {
            return Term { add, ..a };
        }
        let mut sum = self.merged((i128::from(a.scale) * ca, a.shape), (i128::from(b.scale) * cb, b.shape));
        sum.iter_mut().for_each(|c| c.1 = symmetric(c.1));
        let (scale, shape) = self.form(sum);
        Term { signed: a.signed, scale: short(scale), shape, add }
    }

    pub(super) fn times(&mut self, a: Term, c: i128) -> Term {
        self.combine(a, c, Self::constant(a.signed, 0), 0)
    }

    /// A difference in whole numbers.
    pub(super) fn minus(&mut self, a: Exact, b: Exact) -> Exact {
        self.mix(a, 1, b, -1)
    }

    pub(super) fn mix(&mut self, a: Exact, ca: i128, b: Exact, cb: i128) -> Exact {
        let sum = self.merged((a.scale * ca, a.shape), (b.scale * cb, b.shape));
        let (scale, shape) = self.form(sum);
        Exact { scale, shape, add: a.add * ca + b.add * cb }
    }

    /// A form whose coefficients and constant are split into multiples of `by` and the rest: `(multiples ÷ by, rest)`.
    pub(super) fn split(&mut self, e: Exact, by: i128) -> (Exact, Exact) {
        let coefficients: Vec<_> =
            self.shapes[e.shape as usize].iter().map(|&(a, c)| (a, i128::from(c) * e.scale)).collect();
        let whole = coefficients.iter().filter(|c| c.1 % by == 0).map(|&(a, c)| (a, c / by)).collect();
        let rest = coefficients.iter().filter(|c| c.1 % by != 0).copied().collect();
        let ((ws, wf), (rs, rf)) = (self.form(whole), self.form(rest));
        let whole = Exact { scale: ws, shape: wf, add: e.add.div_euclid(by) };
        (whole, Exact { scale: rs, shape: rf, add: e.add.rem_euclid(by) })
    }

    /// A number in whole numbers as a term: right if it fits.
    pub(super) fn term(signed: bool, e: Exact) -> Term {
        Term { signed, scale: short(symmetric(e.scale)), shape: e.shape, add: short(symmetric(e.add)) }
    }

    pub(super) fn atom(&mut self, def: Def, base: Range, signed: bool) -> Term {
        let id = u32::try_from(self.atoms.len()).unwrap_or(u32::MAX);
        let shape = self.shape_of(vec![(id, 1)]);
        self.atoms.push(Known { def, base, shape });
        Term { signed, scale: 1, shape, add: 0 }
    }

    pub(super) fn fresh(&mut self, signed: bool, range: Range) -> Term {
        let range = range.meet(Range::of_type(signed));
        match range.single() {
            Some(n) => Self::constant(signed, n),
            None => self.atom(Def::Free, range, signed),
        }
    }

    /// The atom of an operation: the same for the same terms.
    pub(super) fn operation(&mut self, op: Op, a: Term, b: Term) -> Term {
        if let Some(&id) = self.ops.get(&(op, a, b)) {
            return Term { signed: a.signed, scale: 1, shape: self.atoms[id as usize].shape, add: 0 };
        }
        let term = self.atom(Def::Op(op, a, b), Range::of_type(a.signed), a.signed);
        let id = self.shapes[term.shape as usize][0].0;
        self.ops.insert((op, a, b), id);
        if let (Op::Mod, 0, by) = (op, b.scale, i128::from(b.add))
            && by > 0
        {
            self.remainders.push((a, by, id));
        }
        term
    }

    /// Which number a term is, as a form in whole numbers.
    pub(super) fn exact(&mut self, t: Term) -> Exact {
        let form = Exact { scale: t.scale.into(), shape: t.shape, add: t.add.into() };
        if let Some(turns) = self.turns(t.signed, form) {
            return Exact { add: form.add - turns * WORD, ..form };
        }
        let id = match self.wholes.get(&t) {
            Some(&id) => id,
            None => {
                let own = self.atom(Def::Whole(t), Range::of_type(t.signed), t.signed);
                let id = self.shapes[own.shape as usize][0].0;
                self.wholes.insert(t, id);
                id
            }
        };
        Exact { scale: 1, shape: self.atoms[id as usize].shape, add: 0 }
    }

    /// The multiple of 2³² within which a form lies, if it lies within one.
    pub(super) fn turns(&mut self, signed: bool, form: Exact) -> Option<i128> {
        let origin = if signed { WORD / 2 } else { 0 };
        let turn = |n: i128| (n + origin).div_euclid(WORD);
        let range = self.range_of(form);
        if range.is_empty() || turn(range.lo) == turn(range.hi) {
            return Some(if range.is_empty() { 0 } else { turn(range.lo) });
        }
        if range.hi - range.lo > 4 * WORD || self.depth > 0 {
            return None;
        }
        let mut range = self.bounds(form, 1);
        if self.defining > 0 && turn(range.lo) != turn(range.hi) {
            range = range.meet(self.bounds_by_definition(form));
        }
        (range.is_empty() || turn(range.lo) == turn(range.hi))
            .then(|| if range.is_empty() { 0 } else { turn(range.lo) })
    }

    /// The range of the number that a term is.
    pub(super) fn range(&mut self, t: Term) -> Range {
        if t.scale == 0 {
            let n = i128::from(t.add);
            return Range::only(if t.signed || n >= 0 { n } else { n + WORD });
        }
        let exact = self.exact(t);
        self.range_of(exact).meet(Range::of_type(t.signed))
    }

    pub(super) fn range_of(&mut self, e: Exact) -> Range {
        if e.scale == 0 { Range::only(e.add) } else { self.shape_range(e.shape).times(e.scale).plus(e.add) }
    }

    /// The range of a shape: the sum of its atoms', and what the path says of it.
    pub(super) fn shape_range(&mut self, shape: Shape) -> Range {
        let at = shape as usize;
        if self.memo[at].0 == self.epoch {
            return self.memo[at].1;
        }
        let coefficients = Rc::clone(&self.shapes[at]);
        let sum = match coefficients[..] {
            [] => Range::only(0),
            [(atom, 1)] => self.atom_range(atom),
            _ => coefficients.iter().fold(Range::only(0), |sum, &(atom, c)| {
                let own = self.atoms[atom as usize].shape;
                sum.sum(self.shape_range(own).times(c.into()))
            }),
        };
        let range = sum.meet(self.refined[at]);
        self.memo[at] = (self.epoch, range);
        range
    }

    fn atom_range(&mut self, atom: Atom) -> Range {
        let Known { def, base, .. } = &self.atoms[atom as usize];
        let (def, base) = (def.clone(), *base);
        match def {
            Def::Free => base,
            Def::Whole(t) => {
                // Its form may fit by now.
                let form = Exact { scale: t.scale.into(), shape: t.shape, add: t.add.into() };
                match self.turns(t.signed, form) {
                    Some(turns) => base.meet(self.range_of(form).plus(-turns * WORD)),
                    None => base,
                }
            }
            Def::Op(op, a, b) => {
                let (x, y) = (self.range(a), self.range(b));
                base.meet(op.range(a.signed, x, y))
            }
            Def::Choice(ways) => {
                let mut all = Range::NONE;
                for (conditions, term) in ways.iter() {
                    if conditions.iter().all(|c| self.decide(c) != Some(false)) {
                        all = all.hull(self.range(*term));
                    }
                }
                base.meet(all)
            }
        }
    }

    /// Where the path stands; to be given to [`undo`](Self::undo).
    pub(super) fn mark(&self) -> usize {
        self.trail.len()
    }

    /// Forgets what was assumed since.
    pub(super) fn undo(&mut self, mark: usize) {
        if self.trail.len() > mark {
            self.epoch += 1;
        }
        while self.trail.len() > mark {
            if let Some((shape, range)) = self.trail.pop() {
                self.refined[shape as usize] = range;
            }
        }
    }

    /// Makes the path at hand one on which the shape lies in this range too. Whether that says anything new.
    pub(super) fn refine(&mut self, shape: Shape, range: Range) -> bool {
        let old = self.shape_range(shape);
        let new = old.meet(range);
        if new == old {
            return false;
        }
        self.trail.push((shape, self.refined[shape as usize]));
        self.refined[shape as usize] = self.refined[shape as usize].meet(range);
        self.epoch += 1;
        self.dead |= new.is_empty();
        true
    }

    /// Shapes of several atoms that the path says something of, the latest first.
    pub(super) fn facts(&self) -> Vec<Shape> {
        let mut found: Vec<Shape> = Vec::new();
        for &(shape, _) in self.trail.iter().rev() {
            if self.shapes[shape as usize].len() > 1 && !found.contains(&shape) {
                found.push(shape);
            }
        }
        found
    }

    /// Runs with bounds by facts switched off, so that they do not ask for themselves.
    pub(super) fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }
}
