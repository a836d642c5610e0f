//! What a variable or an expression holds.

use std::rc::Rc;

use naga::{ArraySize, Handle, ScalarKind, Type, TypeInner};

use super::range::Range;
use super::terms::{Cond, Term, Terms};

/// More parts than this of an array are not told apart.
const PARTS: u32 = 128;

/// A value. Floats, and integers that nothing is known of, are opaque.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(Term),
    Bool(Rc<Cond>),
    Tree(Rc<[Value]>),
    Place(Rc<Place>),
    Opaque,
}

/// Where memory begins: a variable of an invocation's own, or a global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Slot(usize),
    Global(Handle<naga::GlobalVariable>),
}

/// A place in memory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) root: Root,
    pub(super) path: Vec<Term>,
}

impl Value {
    pub(super) fn known(b: bool) -> Self {
        Self::Bool(Rc::new(Cond::Known(b)))
    }
    pub(super) fn unknown() -> Self {
        Self::Bool(Rc::new(Cond::Unknown))
    }
    pub(super) fn cond(&self) -> Rc<Cond> {
        match self {
            Self::Bool(c) => Rc::clone(c),
            _ => Rc::new(Cond::Unknown),
        }
    }
    pub(super) fn tree(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<_> = parts.into_iter().collect();
        if parts.iter().all(|p| matches!(p, Self::Opaque)) { Self::Opaque } else { Self::Tree(parts.into()) }
    }
    pub(super) fn part(&self, index: usize) -> Self {
        match self {
            Self::Tree(parts) => parts.get(index).cloned().unwrap_or(Self::Opaque),
            _ => Self::Opaque,
        }
    }
}

/// Whether both are the same without a look at what they are made of.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(x), Value::Int(y)) => x == y,
        (Value::Bool(x), Value::Bool(y)) => {
            Rc::ptr_eq(x, y) || matches!((&**x, &**y), (Cond::Known(x), Cond::Known(y)) if x == y)
        }
        (Value::Tree(x), Value::Tree(y)) => {
            Rc::ptr_eq(x, y) || (x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| same(x, y)))
        }
        (Value::Place(x), Value::Place(y)) => Rc::ptr_eq(x, y),
        (Value::Opaque, Value::Opaque) => true,
        _ => false,
    }
}

/// The value that both may be, if it is told by conditions which.
pub(super) fn choice(terms: &mut Terms, a: (&[Rc<Cond>], &Value), b: (&[Rc<Cond>], &Value)) -> Value {
    if same(a.1, b.1) {
        return a.1.clone();
    }
    match (a.1, b.1) {
        (Value::Int(x), Value::Int(y)) => {
            Value::Int(chosen(terms, x.signed, [(a.0.to_vec(), *x), (b.0.to_vec(), *y)].into()))
        }
        (Value::Bool(x), Value::Bool(y)) => match (a.0, b.0) {
            ([c], [n]) if matches!(&**n, Cond::Not(not) if Rc::ptr_eq(not, c)) => {
                let (x, y) = (under(terms, c, x), under(terms, n, y));
                Value::Bool(either(&both(c, &x), &both(n, &y)))
            }
            _ => Value::unknown(),
        },
        (Value::Tree(x), Value::Tree(y)) if x.len() == y.len() => {
            let parts: Vec<_> = x.iter().zip(y.iter()).map(|(x, y)| choice(terms, (a.0, x), (b.0, y))).collect();
            Value::tree(parts)
        }
        _ => Value::Opaque,
    }
}

/// A truth value as it is where a condition holds.
fn under(terms: &mut Terms, cond: &Rc<Cond>, value: &Rc<Cond>) -> Rc<Cond> {
    let (mark, dead) = (terms.mark(), terms.dead);
    terms.assume(cond, true);
    let known = terms.decide(value);
    terms.undo(mark);
    terms.dead = dead;
    known.map_or_else(|| Rc::clone(value), |b| Rc::new(Cond::Known(b)))
}

/// One of several terms. Its range is found here, each way by itself, since what holds on a way is not asked again.
fn chosen(terms: &mut Terms, signed: bool, ways: Rc<[(Vec<Rc<Cond>>, Term)]>) -> Term {
    let mut range = Range::NONE;
    let dead = terms.dead;
    for (conditions, term) in ways.iter() {
        let mark = terms.mark();
        terms.dead = false;
        conditions.iter().for_each(|c| terms.assume(c, true));
        if !terms.dead {
            let own = terms.range(*term);
            range = range.hull(own);
        }
        terms.undo(mark);
    }
    terms.dead = dead;
    if range.is_empty() {
        range = Range::of_type(signed);
    }
    if let Some(n) = range.single() {
        return Terms::constant(signed, n);
    }
    terms.atom(super::terms::Def::Choice(ways), range.meet(Range::of_type(signed)), signed)
}

/// What is known of memory of which nothing is known but the type.
pub(super) fn anything(terms: &mut Terms, types: &naga::UniqueArena<Type>, inner: &TypeInner) -> Value {
    match *inner {
        TypeInner::Scalar(s) | TypeInner::Atomic(s) => any_scalar(terms, s.kind),
        TypeInner::Vector { size, scalar } => Value::tree((0..size as u8).map(|_| any_scalar(terms, scalar.kind))),
        TypeInner::Struct { ref members, .. } => {
            let parts: Vec<_> = members.iter().map(|m| anything(terms, types, &types[m.ty].inner)).collect();
            Value::tree(parts)
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } if n.get() <= PARTS && holds_ints(types, base) => {
            let parts: Vec<_> = (0..n.get()).map(|_| anything(terms, types, &types[base].inner)).collect();
            Value::tree(parts)
        }
        _ => Value::Opaque,
    }
}

fn any_scalar(terms: &mut Terms, kind: ScalarKind) -> Value {
    match kind {
        ScalarKind::Sint => Value::Int(terms.fresh(true, Range::of_type(true))),
        ScalarKind::Uint => Value::Int(terms.fresh(false, Range::of_type(false))),
        ScalarKind::Bool => Value::unknown(),
        _ => Value::Opaque,
    }
}

/// Whether a value of the type has integers or truth values in it.
pub(super) fn holds_ints(types: &naga::UniqueArena<Type>, ty: Handle<Type>) -> bool {
    let is_int = |kind| matches!(kind, ScalarKind::Sint | ScalarKind::Uint | ScalarKind::Bool);
    match types[ty].inner {
        TypeInner::Scalar(s) | TypeInner::Vector { scalar: s, .. } | TypeInner::Atomic(s) => is_int(s.kind),
        TypeInner::Struct { ref members, .. } => members.iter().any(|m| holds_ints(types, m.ty)),
        TypeInner::Array { base, .. } => holds_ints(types, base),
        _ => false,
    }
}

/// The zero value of a type.
pub(super) fn zero(types: &naga::UniqueArena<Type>, inner: &TypeInner) -> Value {
    let scalar = |kind| match kind {
        ScalarKind::Sint => Value::Int(Terms::constant(true, 0)),
        ScalarKind::Uint => Value::Int(Terms::constant(false, 0)),
        ScalarKind::Bool => Value::known(false),
        _ => Value::Opaque,
    };
    match *inner {
        TypeInner::Scalar(s) | TypeInner::Atomic(s) => scalar(s.kind),
        TypeInner::Vector { size, scalar: s } => Value::tree((0..size as u8).map(|_| scalar(s.kind))),
        TypeInner::Struct { ref members, .. } => {
            Value::tree(members.iter().map(|m| zero(types, &types[m.ty].inner)).collect::<Vec<_>>())
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } if n.get() <= PARTS && holds_ints(types, base) => {
            let one = zero(types, &types[base].inner);
            Value::tree((0..n.get()).map(|_| one.clone()))
        }
        _ => Value::Opaque,
    }
}

/// The value with the part at this path replaced. Where an index is not known, any part may be the one.
pub(super) fn replaced(terms: &mut Terms, old: &Value, path: &[Term], new: &Value) -> Value {
    let Some((first, rest)) = path.split_first() else { return new.clone() };
    let Value::Tree(parts) = old else { return Value::Opaque };
    let range = terms.range(*first);
    let mut parts = parts.to_vec();
    if let Some(n) = range.single() {
        if let Some(part) = usize::try_from(n).ok().and_then(|n| parts.get_mut(n)) {
            *part = replaced(terms, part, rest, new);
        }
        return Value::tree(parts);
    }
    for part in &mut parts {
        let other = replaced(terms, part, rest, new);
        *part = choice(terms, (&[], part), (&[], &other));
    }
    Value::tree(parts)
}

/// The part at this path.
pub(super) fn part_at(terms: &mut Terms, value: &Value, path: &[Term]) -> Value {
    let Some((first, rest)) = path.split_first() else { return value.clone() };
    let Value::Tree(parts) = value else { return Value::Opaque };
    let range = terms.range(*first);
    if let Some(n) = range.single() {
        return usize::try_from(n).ok().and_then(|n| parts.get(n)).map_or(Value::Opaque, |p| part_at(terms, p, rest));
    }
    let mut found: Option<Value> = None;
    for part in parts.iter() {
        let own = part_at(terms, part, rest);
        found = Some(match found {
            None => own,
            Some(before) => choice(terms, (&[], &before), (&[], &own)),
        });
    }
    found.unwrap_or(Value::Opaque)
}

pub(super) fn both(a: &Rc<Cond>, b: &Rc<Cond>) -> Rc<Cond> {
    match (&**a, &**b) {
        (Cond::Known(true), _) | (_, Cond::Known(false)) => Rc::clone(b),
        (_, Cond::Known(true)) | (Cond::Known(false), _) => Rc::clone(a),
        _ => Rc::new(Cond::And(Rc::clone(a), Rc::clone(b))),
    }
}

pub(super) fn either(a: &Rc<Cond>, b: &Rc<Cond>) -> Rc<Cond> {
    match (&**a, &**b) {
        (Cond::Known(false), _) | (_, Cond::Known(true)) => Rc::clone(b),
        (_, Cond::Known(false)) | (Cond::Known(true), _) => Rc::clone(a),
        _ => Rc::new(Cond::Or(Rc::clone(a), Rc::clone(b))),
    }
}
