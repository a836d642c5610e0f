//! Expressions: places, parts of values, loads.

use std::rc::Rc;

use naga::{AddressSpace, ArraySize, CooperativeData, Expression, Handle, Literal, StorageAccess, TypeInner};

use super::machine::Machine;
use super::range::Range;
use super::terms::{Term, Terms};
use super::value::{Place, Root, Value, anything, part_at, zero};
use super::{Site, Verified};

/// The value of a constant expression of the module.
pub(super) fn global_value(machine: &mut Machine<'_>, handle: Handle<Expression>) -> Value {
    let module = machine.module;
    match &module.global_expressions[handle] {
        Expression::Literal(l) => literal(*l),
        Expression::Constant(c) => global_value(machine, module.constants[*c].init),
        Expression::ZeroValue(ty) => zero(&module.types, &module.types[*ty].inner),
        Expression::Compose { ty, components } => {
            let parts: Vec<_> = components.iter().map(|c| global_value(machine, *c)).collect();
            composed(&module.types[*ty].inner, parts)
        }
        Expression::Splat { size, value } => {
            let one = global_value(machine, *value);
            Value::tree((0..*size as u8).map(|_| one.clone()))
        }
        _ => Value::Opaque,
    }
}

fn literal(literal: Literal) -> Value {
    match literal {
        Literal::U32(n) => Value::Int(Terms::constant(false, n.into())),
        Literal::I32(n) => Value::Int(Terms::constant(true, n.into())),
        Literal::Bool(b) => Value::known(b),
        _ => Value::Opaque,
    }
}

/// A composite; the parts of a vector may be vectors.
fn composed(inner: &TypeInner, parts: Vec<Value>) -> Value {
    if !matches!(inner, TypeInner::Vector { .. }) {
        return Value::tree(parts);
    }
    let flat = parts.into_iter().flat_map(|p| match p {
        Value::Tree(inner) => inner.to_vec(),
        other => vec![other],
    });
    Value::tree(flat)
}

/// Whether values of the type are floats and nothing else, so that nothing is known of them.
fn is_float(inner: &TypeInner) -> bool {
    match inner {
        TypeInner::Scalar(s) | TypeInner::Vector { scalar: s, .. } => s.kind == naga::ScalarKind::Float,
        TypeInner::Matrix { .. } => true,
        _ => false,
    }
}

impl<'a> Machine<'a> {
    /// The type of an expression of the function at hand.
    pub(super) fn inner(&self, handle: Handle<Expression>) -> TypeInner {
        self.frame().info[handle].ty.inner_with(&self.module.types).clone()
    }

    fn has_float_type(&self, handle: Handle<Expression>) -> bool {
        is_float(self.frame().info[handle].ty.inner_with(&self.module.types))
    }

    /// The value of an expression: as computed where it was emitted, else of one that needs no emitting.
    pub(super) fn eval(&mut self, handle: Handle<Expression>) -> Value {
        match &self.frame().cache[handle.index()] {
            Some(value) => value.clone(),
            None => self.compute(handle),
        }
    }

    pub(super) fn compute(&mut self, handle: Handle<Expression>) -> Value {
        let function = self.frame().function;
        let expression = &function.expressions[handle];
        match expression {
            Expression::Access { base, index } => return self.access(handle, *base, *index),
            Expression::CooperativeLoad { data, columns, rows, .. } => {
                self.matrix(data, Some(handle), (*columns as i128).max(*rows as i128));
                return Value::Opaque;
            }
            _ if self.has_float_type(handle) => return Value::Opaque,
            _ => {}
        }
        let value = match expression {
            Expression::Literal(l) => literal(*l),
            Expression::Constant(c) => global_value(self, self.module.constants[*c].init),
            Expression::ZeroValue(ty) => zero(&self.module.types, &self.module.types[*ty].inner),
            Expression::Compose { ty, components } => {
                let parts: Vec<_> = components.iter().map(|c| self.eval(*c)).collect();
                composed(&self.module.types[*ty].inner, parts)
            }
            Expression::AccessIndex { base, index } => self.access_index(handle, *base, *index),
            Expression::Splat { size, value } => {
                let one = self.eval(*value);
                Value::tree((0..*size as u8).map(|_| one.clone()))
            }
            Expression::Swizzle { size, vector, pattern } => {
                let whole = self.eval(*vector);
                Value::tree(pattern[..*size as usize].iter().map(|c| whole.part(c.index() as usize)))
            }
            Expression::FunctionArgument(n) => {
                self.frame().arguments.get(*n as usize).cloned().unwrap_or(Value::Opaque)
            }
            Expression::GlobalVariable(g) => {
                let root = self.privates.get(g).map_or(Root::Global(*g), |&slot| Root::Slot(slot));
                Value::Place(Rc::new(Place { root, path: Vec::new() }))
            }
            Expression::LocalVariable(v) => Value::Place(Rc::new(Place { root: self.slot(*v), path: Vec::new() })),
            Expression::Load { pointer } => self.load(handle, *pointer),
            Expression::ArrayLength(pointer) => {
                let place = self.eval(*pointer);
                self.length_of(&place, *pointer).map_or(Value::Opaque, |n| Value::Int(Terms::constant(false, n)))
            }
            other => self.arithmetic(other),
        };
        if matches!(value, Value::Opaque) { self.typed(handle) } else { value }
    }

    /// What is known of an expression of which nothing is known but the type.
    fn typed(&mut self, handle: Handle<Expression>) -> Value {
        let inner = self.inner(handle);
        anything(&mut self.terms, &self.module.types, &inner)
    }

    /// Elements of the run-time sized array at a place, if it is one.
    fn length_of(&self, place: &Value, pointer: Handle<Expression>) -> Option<i128> {
        let Value::Place(place) = place else { return None };
        let Root::Global(global) = place.root else { return None };
        let global = &self.module.global_variables[global];
        let stride = match *self.frame().info[pointer].ty.inner_with(&self.module.types) {
            TypeInner::Pointer { base, .. } => match self.module.types[base].inner {
                TypeInner::Array { stride, size: ArraySize::Dynamic, .. } => stride,
                _ => return None,
            },
            _ => return None,
        };
        let offset = match &self.module.types[global.ty].inner {
            TypeInner::Struct { members, .. } => members.last().map_or(0, |m| m.offset),
            _ => 0,
        };
        let bytes = global.name.as_deref().and_then(|n| self.numbers.bytes.get(n)).copied().unwrap_or(0);
        Some(i128::from(bytes.saturating_sub(offset.into()) / u64::from(stride.max(1))))
    }

    /// How many parts what an expression is, or points to, has.
    fn parts(&self, base: Handle<Expression>, value: &Value) -> Option<i128> {
        let of = |inner: &TypeInner| match *inner {
            TypeInner::Array { size: ArraySize::Constant(n), .. } => Some(i128::from(n.get())),
            TypeInner::Vector { size, .. } | TypeInner::Matrix { columns: size, .. } => Some(size as i128),
            TypeInner::Struct { ref members, .. } => i128::try_from(members.len()).ok(),
            _ => None,
        };
        match self.frame().info[base].ty.inner_with(&self.module.types) {
            TypeInner::Pointer { base: ty, .. } => {
                of(&self.module.types[*ty].inner).or_else(|| self.length_of(value, base))
            }
            TypeInner::ValuePointer { size: Some(size), .. } => Some(*size as i128),
            inner => of(inner),
        }
    }

    fn access(&mut self, handle: Handle<Expression>, base: Handle<Expression>, index: Handle<Expression>) -> Value {
        let (value, index) = (self.eval(base), self.eval(index));
        let parts = self.parts(base, &value);
        let Value::Int(index) = index else {
            self.judge_index(handle, Range::ALL, parts);
            return self.typed_unless_pointer(handle);
        };
        self.index(handle, index, parts);
        self.inside(handle, &value, index)
    }

    fn access_index(&mut self, handle: Handle<Expression>, base: Handle<Expression>, index: u32) -> Value {
        let value = self.eval(base);
        let index = Terms::constant(false, index.into());
        if let Value::Place(_) = value
            && let Some(length) = self.length_of(&value, base)
        {
            self.index(handle, index, Some(length));
        }
        self.inside(handle, &value, index)
    }

    fn inside(&mut self, handle: Handle<Expression>, value: &Value, index: Term) -> Value {
        match value {
            Value::Place(place) => {
                let mut path = place.path.clone();
                path.push(index);
                Value::Place(Rc::new(Place { root: place.root, path }))
            }
            other => match part_at(&mut self.terms, other, &[index]) {
                Value::Opaque => self.typed_unless_pointer(handle),
                part => part,
            },
        }
    }

    fn typed_unless_pointer(&mut self, handle: Handle<Expression>) -> Value {
        if self.has_float_type(handle) { Value::Opaque } else { self.typed(handle) }
    }

    fn load(&mut self, handle: Handle<Expression>, pointer: Handle<Expression>) -> Value {
        let Value::Place(place) = self.eval(pointer) else { return Value::Opaque };
        match place.root {
            Root::Slot(slot) => {
                let whole = self.slots[slot].clone();
                part_at(&mut self.terms, &whole, &place.path)
            }
            Root::Global(global) => {
                let variable = &self.module.global_variables[global];
                match variable.space {
                    AddressSpace::Uniform => self.param(global, &place.path),
                    AddressSpace::Storage { access } if !access.contains(StorageAccess::STORE) => {
                        let key = (global, place.path.clone());
                        if let Some(value) = self.reads.get(&key) {
                            return value.clone();
                        }
                        let value = self.typed(handle);
                        self.reads.insert(key, value.clone());
                        value
                    }
                    _ => Value::Opaque,
                }
            }
        }
    }

    /// A member of the uniform.
    fn param(&mut self, global: Handle<naga::GlobalVariable>, path: &[Term]) -> Value {
        let TypeInner::Struct { members, .. } = &self.module.types[self.module.global_variables[global].ty].inner
        else {
            return Value::Opaque;
        };
        let [index] = path else { return Value::Opaque };
        let Some(member) = usize::try_from(index.add).ok().filter(|_| index.scale == 0).and_then(|n| members.get(n))
        else {
            return Value::Opaque;
        };
        let Some(&(signed, range)) = member.name.as_deref().and_then(|n| self.numbers.params.get(n)) else {
            return Value::Opaque;
        };
        if let Some(n) = range.single() {
            return Value::Int(Terms::constant(signed, n));
        }
        // the same in all of a dispatch
        let key = (global, path.to_vec());
        if let Some(value) = self.reads.get(&key) {
            return value.clone();
        }
        let value = Value::Int(self.terms.fresh(signed, range));
        self.reads.insert(key, value.clone());
        value
    }

    /// Checks an index.
    fn index(&mut self, handle: Handle<Expression>, index: Term, parts: Option<i128>) {
        if !self.recording || self.terms.dead {
            return;
        }
        let most = Range::new(0, parts.unwrap_or(0) - 1);
        let mut range = self.terms.range(index);
        if !range.within(most) {
            let exact = self.terms.exact(index);
            range = range.meet(self.terms.bounds(exact, 2));
            if self.thorough && !range.within(most) {
                range = range.meet(self.terms.bounds_by_definition(exact));
            }
        }
        self.judge_index(handle, range, parts);
    }

    fn judge_index(&mut self, handle: Handle<Expression>, range: Range, parts: Option<i128>) {
        if !self.recording || self.terms.dead {
            return;
        }
        let span = self.frame().function.expressions.get_span(handle);
        let site = Site { function: self.frame().handle.map(Handle::index), at: handle.index(), is_loop: false };
        let verdict = self.sites.entry(site).or_insert(Verified { span, fault: None, trips: 0 });
        if !range.within(Range::new(0, parts.unwrap_or(0) - 1)) {
            let what =
                parts.map_or("an index of something of unknown length".to_owned(), |n| format!("an index below {n}"));
            let before = verdict.fault.take().map_or(Range::NONE, |f| f.1);
            verdict.fault = Some((what, before.hull(range)));
        }
    }

    /// Checks the whole of what a matrix is read from or written to: rows of its edge, `stride` apart.
    pub(super) fn matrix(&mut self, data: &CooperativeData, load: Option<Handle<Expression>>, edge: i128) {
        let (place, stride) = (self.eval(data.pointer), self.eval(data.stride));
        let site = load.unwrap_or(data.pointer);
        let function = self.frame().function;
        let (Expression::Access { base, .. } | Expression::AccessIndex { base, .. }) =
            function.expressions[data.pointer]
        else {
            self.judge_index(site, Range::ALL, None);
            return;
        };
        let array = self.eval(base);
        let parts = self.parts(base, &array);
        // elements of a row: a tile's elements may be vectors
        let width = match self.inner(data.pointer) {
            TypeInner::Pointer { base, .. } => match self.module.types[base].inner {
                TypeInner::Vector { size, .. } => size as i128,
                _ => 1,
            },
            TypeInner::ValuePointer { size: Some(size), .. } => size as i128,
            _ => 1,
        };
        let last = match (&place, &stride) {
            (Value::Place(place), Value::Int(stride)) => place.path.last().map(|first| {
                let rows = self.terms.range(*stride).times(edge - 1).plus((edge + width - 1) / width - 1);
                let from = self.terms.range(*first);
                from.hull(from.sum(rows))
            }),
            _ => None,
        };
        self.judge_index(site, last.unwrap_or(Range::ALL), parts);
    }
}
