//! Integer arithmetic, comparisons and casts.

use std::rc::Rc;

use naga::{BinaryOperator, Expression, Handle, MathFunction, RelationalFunction, ScalarKind, UnaryOperator};

use super::machine::Machine;
use super::range::{Range, WORD};
use super::terms::{Cond, Op, Term, Terms};
use super::value::{Value, both, choice, either};

fn not(c: Rc<Cond>) -> Rc<Cond> {
    match &*c {
        Cond::Not(inner) => Rc::clone(inner),
        Cond::Known(b) => Rc::new(Cond::Known(!b)),
        _ => Rc::new(Cond::Not(c)),
    }
}

impl<'a> Machine<'a> {
    /// An expression that computes; opaque if nothing is known of it.
    pub(super) fn arithmetic(&mut self, expression: &Expression) -> Value {
        match *expression {
            Expression::Unary { op, expr } => {
                let value = self.eval(expr);
                self.each(&value, &mut |machine, v| machine.unary(op, v))
            }
            Expression::Binary { op, left, right } => {
                let (a, b) = (self.eval(left), self.eval(right));
                self.pairs(&a, &b, &mut |machine, a, b| machine.binary(op, a, b))
            }
            Expression::Select { condition, accept, reject } => {
                let (c, a, b) = (self.eval(condition), self.eval(accept), self.eval(reject));
                self.select(&c, &a, &b)
            }
            Expression::Relational { fun, argument } => {
                let value = self.eval(argument);
                relation(fun, &value)
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => self.math(fun, arg, arg1, arg2),
            Expression::As { expr, kind, convert } => {
                let value = self.eval(expr);
                self.each(&value, &mut |machine, v| machine.cast(v, kind, convert))
            }
            _ => Value::Opaque,
        }
    }

    fn each(&mut self, value: &Value, f: &mut dyn FnMut(&mut Self, &Value) -> Value) -> Value {
        match value {
            Value::Tree(parts) => Value::tree(parts.iter().map(|p| f(self, p)).collect::<Vec<_>>()),
            other => f(self, other),
        }
    }

    fn pairs(&mut self, a: &Value, b: &Value, f: &mut dyn FnMut(&mut Self, &Value, &Value) -> Value) -> Value {
        match (a, b) {
            (Value::Tree(x), Value::Tree(y)) => {
                Value::tree(x.iter().zip(y.iter()).map(|(x, y)| f(self, x, y)).collect::<Vec<_>>())
            }
            (Value::Tree(x), y) => Value::tree(x.iter().map(|x| f(self, x, y)).collect::<Vec<_>>()),
            (x, Value::Tree(y)) => Value::tree(y.iter().map(|y| f(self, x, y)).collect::<Vec<_>>()),
            (x, y) => f(self, x, y),
        }
    }

    fn unary(&mut self, op: UnaryOperator, value: &Value) -> Value {
        match (op, value) {
            (UnaryOperator::Negate, Value::Int(t)) => Value::Int(self.terms.times(*t, -1)),
            (UnaryOperator::BitwiseNot, Value::Int(t)) => {
                Value::Int(self.terms.combine(*t, -1, Terms::constant(t.signed, -1), 1))
            }
            (UnaryOperator::LogicalNot, Value::Bool(c)) => Value::Bool(not(Rc::clone(c))),
            _ => Value::Opaque,
        }
    }

    fn binary(&mut self, op: BinaryOperator, a: &Value, b: &Value) -> Value {
        match (a, b) {
            (Value::Int(a), Value::Int(b)) => self.integers(op, *a, *b),
            (Value::Bool(a), Value::Bool(b)) => truths(op, a, b),
            _ => Value::Opaque,
        }
    }

    fn integers(&mut self, op: BinaryOperator, a: Term, b: Term) -> Value {
        use BinaryOperator as B;
        let less = |a, b| Rc::new(Cond::Less(a, b));
        let cond = match op {
            B::Less => less(a, b),
            B::Greater => less(b, a),
            B::GreaterEqual => not(less(a, b)),
            B::LessEqual => not(less(b, a)),
            B::Equal => Rc::new(Cond::Equal(a, b)),
            B::NotEqual => not(Rc::new(Cond::Equal(a, b))),
            _ => return Value::Int(self.number(op, a, b)),
        };
        match self.terms.decide(&cond) {
            Some(known) => Value::known(known),
            None => Value::Bool(cond),
        }
    }

    fn number(&mut self, op: BinaryOperator, a: Term, b: Term) -> Term {
        use BinaryOperator as B;
        let [a, b] = [a, b].map(|t| {
            let settled = self.terms.settled(t);
            self.terms.resolved(settled)
        });
        match op {
            B::Add => self.terms.add(a, b),
            B::Subtract => self.terms.sub(a, b),
            B::Multiply => self.multiply(a, b),
            B::Divide => self.divide(a, b),
            B::Modulo => self.remainder(a, b),
            B::ShiftLeft => match self.shift(b) {
                Some(n) => self.terms.times(a, 1 << n),
                None => self.folded(Op::Shl, a, b),
            },
            B::ShiftRight => match self.shift(b) {
                Some(n) if !a.signed && n < 32 => self.divide(a, Terms::constant(false, 1 << n)),
                _ => self.folded(Op::Shr, a, b),
            },
            B::And => self.mask(a, b),
            B::InclusiveOr => self.united(a, b),
            _ => self.folded(Op::Xor, a, b),
        }
    }

    fn shift(&mut self, by: Term) -> Option<u32> {
        self.terms.range(by).single().and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 32)
    }

    /// An operation's atom, or its result if that is one number.
    fn folded(&mut self, op: Op, a: Term, b: Term) -> Term {
        let (x, y) = (self.terms.range(a), self.terms.range(b));
        if let (Some(x), Some(y)) = (x.single(), y.single())
            && let Some(n) = constant(op, a.signed, x, y)
        {
            return Terms::constant(a.signed, n);
        }
        let range = op.range(a.signed, x, y);
        match range.single() {
            Some(n) => Terms::constant(a.signed, n),
            None => self.terms.operation(op, a, b),
        }
    }

    fn multiply(&mut self, a: Term, b: Term) -> Term {
        if let Some(n) = self.terms.range(b).single() {
            return self.terms.times(a, n);
        }
        if let Some(n) = self.terms.range(a).single() {
            let product = self.terms.times(b, n);
            return Term { signed: a.signed, ..product };
        }
        self.folded(Op::Mul, a, b)
    }

    /// x ÷ c, with what is a multiple of c in x's form divided by itself.
    fn divide(&mut self, a: Term, b: Term) -> Term {
        let (x, y) = (self.terms.range(a), self.terms.range(b));
        let Some(by) = y.single().filter(|n| *n > 0 && x.lo >= 0) else { return self.folded(Op::Div, a, b) };
        if by == 1 {
            return a;
        }
        let exact = self.terms.exact(a);
        let (whole, rest) = self.terms.split(exact, by);
        let left = self.terms.range_of(rest);
        if left.within(Range::new(0, by - 1)) {
            return Terms::term(a.signed, whole);
        }
        if whole.scale == 0 && whole.add == 0 || !left.within(Range::new(0, WORD / 2 - 1)) {
            return self.folded(Op::Div, a, b);
        }
        let rest = self.folded(Op::Div, Terms::term(a.signed, rest), b);
        let whole = Terms::term(a.signed, whole);
        self.terms.add(whole, rest)
    }

    fn remainder(&mut self, a: Term, b: Term) -> Term {
        let (x, y) = (self.terms.range(a), self.terms.range(b));
        let Some(by) = y.single().filter(|n| *n > 0 && x.lo >= 0) else { return self.folded(Op::Mod, a, b) };
        let exact = self.terms.exact(a);
        let (_, rest) = self.terms.split(exact, by);
        let left = self.terms.range_of(rest);
        if left.within(Range::new(0, by - 1)) {
            return Terms::term(a.signed, rest);
        }
        if !left.within(Range::new(0, WORD / 2 - 1)) {
            return self.folded(Op::Mod, a, b);
        }
        self.folded(Op::Mod, Terms::term(a.signed, rest), b)
    }

    /// x & (2ⁿ − 1) is a remainder.
    fn mask(&mut self, a: Term, b: Term) -> Term {
        let (x, y) = (self.terms.range(a), self.terms.range(b));
        for (value, mask, other) in [(x, y, a), (y, x, b)] {
            if let Some(m) = mask.single()
                && m >= 0
                && (m + 1) & m == 0
                && m < WORD / 2
                && value.lo >= 0
            {
                return self.remainder(other, Terms::constant(other.signed, m + 1));
            }
        }
        self.folded(Op::And, a, b)
    }

    /// x | y is a sum where they have no bit in common: one is a multiple of a power of two above the other.
    fn united(&mut self, a: Term, b: Term) -> Term {
        let (x, y) = (self.terms.range(a), self.terms.range(b));
        for (low, high) in [(x, y), (y, x)] {
            if let Some(n) = high.single()
                && n > 0
                && low.within(Range::new(0, (1 << n.trailing_zeros()) - 1))
            {
                return self.terms.add(a, b);
            }
        }
        self.folded(Op::Or, a, b)
    }

    fn select(&mut self, c: &Value, a: &Value, b: &Value) -> Value {
        if let Value::Tree(conditions) = c {
            let parts = conditions.iter().enumerate().map(|(n, c)| self.select(c, &a.part(n), &b.part(n)));
            return Value::tree(parts.collect::<Vec<_>>());
        }
        let c = c.cond();
        match self.terms.decide(&c) {
            Some(true) => a.clone(),
            Some(false) => b.clone(),
            None => {
                let other = Rc::new(Cond::Not(Rc::clone(&c)));
                choice(&mut self.terms, (&[c], a), (&[other], b))
            }
        }
    }

    fn cast(&mut self, value: &Value, kind: ScalarKind, convert: Option<u8>) -> Value {
        if convert.is_some_and(|width| width != 4) && kind != ScalarKind::Bool {
            return Value::Opaque;
        }
        match (value, kind) {
            (Value::Int(t), ScalarKind::Sint) => Value::Int(Term { signed: true, ..*t }),
            (Value::Int(t), ScalarKind::Uint) => Value::Int(Term { signed: false, ..*t }),
            (Value::Int(t), ScalarKind::Bool) => {
                Value::Bool(not(Rc::new(Cond::Equal(*t, Terms::constant(t.signed, 0)))))
            }
            (Value::Bool(c), ScalarKind::Sint | ScalarKind::Uint) => {
                let signed = kind == ScalarKind::Sint;
                let [one, zero] = [1, 0].map(|n| Value::Int(Terms::constant(signed, n)));
                self.select(&Value::Bool(Rc::clone(c)), &one, &zero)
            }
            (Value::Bool(_), ScalarKind::Bool) => value.clone(),
            _ => Value::Opaque,
        }
    }

    fn math(
        &mut self,
        fun: MathFunction,
        arg: Handle<Expression>,
        arg1: Option<Handle<Expression>>,
        arg2: Option<Handle<Expression>>,
    ) -> Value {
        use MathFunction as M;
        let value = self.eval(arg);
        let [second, third] = [arg1, arg2].map(|a| a.map_or(Value::Opaque, |a| self.eval(a)));
        match fun {
            M::Min => self.pairs(&value, &second, &mut |m, a, b| m.extreme(Op::Min, a, b)),
            M::Max => self.pairs(&value, &second, &mut |m, a, b| m.extreme(Op::Max, a, b)),
            M::Clamp => {
                let low = self.pairs(&value, &second, &mut |m, a, b| m.extreme(Op::Max, a, b));
                self.pairs(&low, &third, &mut |m, a, b| m.extreme(Op::Min, a, b))
            }
            M::Abs => self.each(&value, &mut |m, v| m.absolute(v)),
            M::CountTrailingZeros | M::CountLeadingZeros | M::CountOneBits => self.ranged(&value, Range::new(0, 32)),
            M::Sign => self.ranged(&value, Range::new(-1, 1)),
            M::FirstLeadingBit | M::FirstTrailingBit => self.each(&value, &mut |m, v| match v {
                Value::Int(t) if !t.signed && m.terms.range(*t).lo > 0 => {
                    Value::Int(m.terms.fresh(false, Range::new(0, 31)))
                }
                _ => Value::Opaque,
            }),
            M::Unpack4xU8 => Value::tree([0; 4].map(|_| Value::Int(self.terms.fresh(false, Range::new(0, 255))))),
            M::Unpack4xI8 => Value::tree([0; 4].map(|_| Value::Int(self.terms.fresh(true, Range::new(-128, 127))))),
            M::ExtractBits => match (&value, &third) {
                (Value::Int(t), Value::Int(n)) if !t.signed => {
                    let most = self.terms.range(*n).hi.clamp(0, 32);
                    Value::Int(self.terms.fresh(false, Range::new(0, (1 << most) - 1)))
                }
                _ => Value::Opaque,
            },
            _ => Value::Opaque,
        }
    }

    fn ranged(&mut self, value: &Value, range: Range) -> Value {
        self.each(value, &mut |m, v| match v {
            Value::Int(t) => Value::Int(m.terms.fresh(t.signed, range)),
            _ => Value::Opaque,
        })
    }

    fn absolute(&mut self, value: &Value) -> Value {
        let Value::Int(t) = value else { return Value::Opaque };
        let range = self.terms.range(*t);
        if !t.signed || range.lo >= 0 {
            return value.clone();
        }
        if range.lo == Range::of_type(true).lo {
            return Value::Opaque;
        }
        Value::Int(self.terms.fresh(true, Range::new(0, range.hi.max(-range.lo))))
    }

    fn extreme(&mut self, op: Op, a: &Value, b: &Value) -> Value {
        let (Value::Int(a), Value::Int(b)) = (a, b) else { return Value::Opaque };
        let first = Cond::Less(*a, *b);
        match (self.terms.decide(&first), op) {
            (Some(less), _) => Value::Int(if less == (op == Op::Min) { *a } else { *b }),
            _ => Value::Int(self.folded(op, *a, *b)),
        }
    }
}

fn truths(op: BinaryOperator, a: &Rc<Cond>, b: &Rc<Cond>) -> Value {
    use BinaryOperator as B;
    match op {
        B::And | B::LogicalAnd => Value::Bool(both(a, b)),
        B::InclusiveOr | B::LogicalOr => Value::Bool(either(a, b)),
        B::Equal | B::NotEqual => match (&**a, &**b) {
            (Cond::Known(x), _) => Value::Bool(if *x == (op == B::Equal) { Rc::clone(b) } else { not(Rc::clone(b)) }),
            (_, Cond::Known(y)) => Value::Bool(if *y == (op == B::Equal) { Rc::clone(a) } else { not(Rc::clone(a)) }),
            _ => Value::unknown(),
        },
        _ => Value::unknown(),
    }
}

fn relation(fun: RelationalFunction, value: &Value) -> Value {
    let Value::Tree(parts) = value else {
        return if matches!(value, Value::Bool(_)) { value.clone() } else { Value::unknown() };
    };
    let conditions = parts.iter().map(Value::cond);
    match fun {
        RelationalFunction::All => conditions.reduce(|a, b| both(&a, &b)).map_or(Value::unknown(), Value::Bool),
        RelationalFunction::Any => conditions.reduce(|a, b| either(&a, &b)).map_or(Value::unknown(), Value::Bool),
        _ => Value::unknown(),
    }
}

/// Operations on two numbers.
fn constant(op: Op, signed: bool, x: i128, y: i128) -> Option<i128> {
    let bits = |n: i128| n.rem_euclid(WORD);
    let made = match op {
        Op::And => bits(x) & bits(y),
        Op::Or => bits(x) | bits(y),
        Op::Xor => bits(x) ^ bits(y),
        Op::Min => x.min(y),
        Op::Max => x.max(y),
        Op::Mul => x * y,
        Op::Div if y > 0 => x / y,
        Op::Mod if y > 0 => x % y,
        Op::Shl if (0..32).contains(&y) => x << y,
        Op::Shr if (0..32).contains(&y) => x >> y,
        _ => return None,
    };
    let _ = signed;
    Some(made)
}
