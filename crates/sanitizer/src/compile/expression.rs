//! Expressions.

use naga::{BinaryOperator, Expression, Handle, RelationalFunction, ScalarKind, TypeInner, UnaryOperator};

use super::{Body, Value, constant_words, fit, types};
use crate::Error;
use crate::code::{At, Atomic, Bin, Kind, Op, Reg, Space, Un};

type Expr = Handle<Expression>;

pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Unsupported { what: what.into(), line: 0 })
}

impl Body<'_, '_> {
    pub(super) fn inner(&self, handle: Expr) -> TypeInner {
        self.info[handle].ty.inner_with(&self.unit.module.types).clone()
    }

    pub(super) fn words(&self, handle: Expr) -> Result<u32, Error> {
        types::words(&self.unit.module.types, &self.inner(handle))
    }

    pub(super) fn shape(&self, handle: Expr) -> Result<(Kind, u8), Error> {
        types::shape(&self.inner(handle))
    }

    /// The first register of a value.
    pub(super) fn reg(&mut self, handle: Expr) -> Result<Reg, Error> {
        match self.value(handle)? {
            Value::In(reg) => Ok(reg),
            Value::Address(at) => {
                // An address as a value: an argument of a function.
                let first = self.unit.constant(0);
                Ok(if at.off == 0 { at.reg } else { self.index(at, first, 1, 0, false).reg })
            }
        }
    }

    pub(super) fn address(&mut self, handle: Expr) -> Result<At, Error> {
        match self.value(handle)? {
            Value::Address(at) => Ok(at),
            Value::In(_) => unsupported("a value in place of a pointer"),
        }
    }

    fn value(&mut self, handle: Expr) -> Result<Value, Error> {
        if let Some(value) = self.values[handle.index()] {
            return Ok(value);
        }
        let value = match &self.function.expressions[handle] {
            Expression::GlobalVariable(global) => Value::Address(self.unit.globals[global.index()]),
            Expression::LocalVariable(local) => Value::Address(self.locals[local.index()]),
            Expression::FunctionArgument(at) => self.argument(*at)?,
            _ => {
                let mut words = Vec::new();
                constant_words(self.unit.module, &self.function.expressions, handle, &mut words)?;
                let reg = if let [word] = words[..] { self.unit.constant(word) } else { self.unit.constants(&words) };
                Value::In(reg)
            }
        };
        self.values[handle.index()] = Some(value);
        Ok(value)
    }

    fn argument(&self, at: u32) -> Result<Value, Error> {
        let reg = self.arguments[at as usize];
        let ty = self.function.arguments[at as usize].ty;
        Ok(match self.unit.module.types[ty].inner.pointer_space() {
            Some(space) => Value::Address(At { space: space_of(space)?, reg, off: 0 }),
            None => Value::In(reg),
        })
    }

    /// Evaluates an expression here.
    pub(super) fn evaluate(&mut self, handle: Expr) -> Result<(), Error> {
        self.unit.at(self.function.expressions.get_span(handle));
        let value = match &self.function.expressions[handle] {
            Expression::AccessIndex { base, index } => self.access_index(*base, *index)?,
            Expression::Access { base, index } => self.access(*base, *index)?,
            Expression::Load { pointer } => {
                let (at, n) = (self.address(*pointer)?, self.words(handle)?);
                let dst = self.unit.registers(n);
                let behind = self.behind(*pointer)?;
                if let TypeInner::Atomic(scalar) = behind {
                    let kind = types::kind(scalar)?;
                    self.unit.emit(Op::Atomic { f: Atomic::Load, kind, dst, at, a: dst, b: dst });
                } else {
                    self.load(dst, at, &behind)?;
                }
                Value::In(dst)
            }
            _ => {
                let n = self.words(handle)?;
                let dst = self.unit.registers(n);
                self.compute(handle, dst)?;
                Value::In(dst)
            }
        };
        self.values[handle.index()] = Some(value);
        Ok(())
    }

    /// The type behind a pointer expression.
    pub(super) fn behind(&self, pointer: Expr) -> Result<TypeInner, Error> {
        types::pointee(&self.unit.module.types, &self.inner(pointer))
            .map_or_else(|| unsupported("a pointer to something else than memory"), Ok)
    }

    fn access_index(&mut self, base: Expr, index: u32) -> Result<Value, Error> {
        let inner = self.inner(base);
        let module = self.unit.module;
        if inner.pointer_space().is_some() {
            let (words, bytes) = types::part(&module.types, &self.behind(base)?, index)?;
            let at = self.address(base)?;
            let behind = self.behind(base)?;
            if let Some((_, None, stride)) = types::elements(&module.types, &behind)? {
                // a constant index into an array that is as long as its buffer
                let index = self.unit.constant(index);
                return Ok(Value::Address(self.index(at, index, 0, stride / 2, false)));
            }
            let more = if at.space == Space::Buffer { bytes / 2 } else { words };
            return Ok(Value::Address(At { off: at.off + more, ..at }));
        }
        let (words, _) = types::part(&module.types, &inner, index)?;
        Ok(Value::In(self.reg(base)? + words))
    }

    fn index(&mut self, base: At, at: Reg, len: u32, stride: u32, signed: bool) -> At {
        let dst = self.unit.registers(1);
        self.unit.emit(Op::Index { dst, base, at, len, stride, signed });
        At { space: base.space, reg: dst, off: 0 }
    }

    fn access(&mut self, base: Expr, index: Expr) -> Result<Value, Error> {
        let inner = self.inner(base);
        let signed = self.shape(index)?.0 == Kind::I32;
        let at = self.reg(index)?;
        let is_pointer = inner.pointer_space().is_some();
        let whole = if is_pointer { self.behind(base)? } else { inner };
        let module = self.unit.module;
        let Some((element, len, stride)) = types::elements(&module.types, &whole)? else {
            return unsupported("an index into a type without elements");
        };
        let words = types::words(&module.types, &element)?;
        if is_pointer {
            let base = self.address(base)?;
            let stride = if base.space == Space::Buffer { stride / 2 } else { words };
            return Ok(Value::Address(self.index(base, at, len.unwrap_or(0), stride, signed)));
        }
        let (src, dst) = (self.reg(base)?, self.unit.registers(words));
        self.unit.emit(Op::Pick { dst, src, at, len: len.unwrap_or(0), words, signed });
        Ok(Value::In(dst))
    }

    pub(super) fn load(&mut self, dst: Reg, at: At, ty: &TypeInner) -> Result<(), Error> {
        let op = match self.transfer(at, ty)? {
            Transfer::Run(n, kind) => Op::Load { dst, at, n, kind },
            Transfer::Layout(layout) => Op::LoadAs { dst, at, layout },
        };
        self.unit.emit(op);
        Ok(())
    }

    pub(super) fn store(&mut self, src: Reg, at: At, ty: &TypeInner) -> Result<(), Error> {
        let op = match self.transfer(at, ty)? {
            Transfer::Run(n, kind) => Op::Store { src, at, n, kind },
            Transfer::Layout(layout) => Op::StoreAs { src, at, layout },
        };
        self.unit.emit(op);
        Ok(())
    }

    fn transfer(&mut self, at: At, ty: &TypeInner) -> Result<Transfer, Error> {
        let types = &self.unit.module.types;
        if at.space != Space::Buffer {
            return Ok(Transfer::Run(types::words(types, ty)?, Kind::U32));
        }
        let mut scalars = Vec::new();
        types::scalars(types, ty, 0, &mut scalars)?;
        let Some(&(_, kind)) = scalars.first() else { return Ok(Transfer::Run(0, Kind::U32)) };
        let tight = (0..).step_by(kind.bytes() as usize).zip(&scalars).all(|(byte, &scalar)| scalar == (byte, kind));
        if tight {
            return Ok(Transfer::Run(fit(scalars.len()), kind));
        }
        self.unit.code.layouts.push(scalars.into_iter().map(|(byte, kind)| (byte / 2, kind)).collect());
        Ok(Transfer::Layout(fit(self.unit.code.layouts.len() - 1)))
    }

    /// The registers of an operand of component-wise arithmetic and the step between them: 0 for one number for all components.
    fn operand(&mut self, handle: Expr, n: u8) -> Result<(Reg, u8), Error> {
        if let Expression::Splat { value, .. } = self.function.expressions[handle] {
            return Ok((self.reg(value)?, 0));
        }
        let (_, own) = self.shape(handle)?;
        Ok((self.reg(handle)?, u8::from(own == n && n > 1)))
    }

    fn compute(&mut self, handle: Expr, dst: Reg) -> Result<(), Error> {
        match &self.function.expressions[handle] {
            Expression::Compose { components, .. } => self.compose(components, dst)?,
            Expression::Splat { size, value } => {
                let src = self.reg(*value)?;
                self.unit.emit(Op::Splat { dst, src, n: *size as u32 });
            }
            Expression::Swizzle { size, vector, pattern } => {
                let src = self.reg(*vector)?;
                for (dst, component) in (dst..).zip(&pattern[..*size as usize]) {
                    self.unit.emit(Op::Copy { dst, src: src + *component as u32, n: 1 });
                }
            }
            Expression::Unary { op, expr } => {
                let ((kind, n), a) = (self.shape(*expr)?, self.reg(*expr)?);
                let f = match op {
                    UnaryOperator::Negate => Un::Neg,
                    UnaryOperator::LogicalNot => Un::Not,
                    UnaryOperator::BitwiseNot => Un::Flip,
                };
                self.unit.emit(Op::Un { f, kind, n, dst, a });
            }
            Expression::Binary { op, left, right } => self.binary(handle, *op, *left, *right, dst)?,
            Expression::Select { condition, accept, reject } => {
                let (n, (_, conditions)) = (self.words(handle)?, self.shape(*condition)?);
                let (c, a, b) = (self.reg(*condition)?, self.reg(*accept)?, self.reg(*reject)?);
                self.unit.emit(Op::Select { n, sc: u32::from(conditions > 1), dst, c, a, b });
            }
            Expression::Relational { fun, argument } => {
                let ((kind, n), a) = (self.shape(*argument)?, self.reg(*argument)?);
                let op = match fun {
                    RelationalFunction::All => Op::Reduce { all: true, n, dst, a },
                    RelationalFunction::Any => Op::Reduce { all: false, n, dst, a },
                    RelationalFunction::IsNan => Op::Un { f: Un::IsNan, kind, n, dst, a },
                    RelationalFunction::IsInf => Op::Un { f: Un::IsInf, kind, n, dst, a },
                };
                self.unit.emit(op);
            }
            Expression::Math { fun, arg, arg1, arg2, arg3 } => {
                self.math(handle, *fun, [*arg1, *arg2, *arg3], *arg, dst)?
            }
            Expression::As { expr, kind, convert } => self.convert(handle, *expr, *kind, convert.is_some(), dst)?,
            Expression::ArrayLength(array) => {
                let behind = self.behind(*array)?;
                let Some((_, None, stride)) = types::elements(&self.unit.module.types, &behind)? else {
                    return unsupported("the length of an array that has a fixed one");
                };
                let at = self.address(*array)?;
                self.unit.emit(Op::Length { dst, at, stride: stride / 2 });
            }
            Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. } => {
                return unsupported("cooperative matrices");
            }
            other => return unsupported(format!("the expression {other:?}")),
        }
        Ok(())
    }

    fn compose(&mut self, components: &[Expr], dst: Reg) -> Result<(), Error> {
        let mut dst = dst;
        for &component in components {
            let (src, n) = (self.reg(component)?, self.words(component)?);
            self.unit.emit(Op::Copy { dst, src, n });
            dst += n;
        }
        Ok(())
    }

    fn binary(&mut self, whole: Expr, op: BinaryOperator, left: Expr, right: Expr, dst: Reg) -> Result<(), Error> {
        let is_matrix = |inner: &TypeInner| matches!(inner, TypeInner::Matrix { .. });
        let (l, r) = (self.inner(left), self.inner(right));
        if op == BinaryOperator::Multiply && (is_matrix(&l) || is_matrix(&r)) {
            return self.matrix_product(left, right, dst);
        }
        let ((kind, _), n) = (self.shape(left)?, self.shape(whole)?.1);
        let ((a, sa), (b, sb)) = (self.operand(left, n)?, self.operand(right, n)?);
        self.unit.emit(Op::Bin { f: bin(op), kind, n, sa, sb, dst, a, b });
        Ok(())
    }

    fn convert(&mut self, whole: Expr, expr: Expr, to: ScalarKind, values: bool, dst: Reg) -> Result<(), Error> {
        let ((from, n), a) = (self.shape(expr)?, self.reg(expr)?);
        let (kind, wide) = self.shape(whole)?;
        let _ = to;
        let op = if values {
            Op::Convert { from, to: kind, n, dst, a }
        } else if from == Kind::F16 && kind != Kind::F16 {
            Op::Halves { pack: true, n: wide, dst, a }
        } else if kind == Kind::F16 && from != Kind::F16 {
            Op::Halves { pack: false, n, dst, a }
        } else {
            Op::Copy { dst, src: a, n: u32::from(n) }
        };
        self.unit.emit(op);
        Ok(())
    }
}

enum Transfer {
    Run(u32, Kind),
    Layout(u32),
}

pub(super) fn space_of(space: naga::AddressSpace) -> Result<Space, Error> {
    Ok(match space {
        naga::AddressSpace::Function | naga::AddressSpace::Private => Space::Own,
        naga::AddressSpace::WorkGroup => Space::Workgroup,
        naga::AddressSpace::Uniform | naga::AddressSpace::Storage { .. } => Space::Buffer,
        other => return unsupported(format!("a pointer into {other:?}")),
    })
}

pub(super) fn bin(op: BinaryOperator) -> Bin {
    match op {
        BinaryOperator::Add => Bin::Add,
        BinaryOperator::Subtract => Bin::Sub,
        BinaryOperator::Multiply => Bin::Mul,
        BinaryOperator::Divide => Bin::Div,
        BinaryOperator::Modulo => Bin::Rem,
        BinaryOperator::Equal => Bin::Eq,
        BinaryOperator::NotEqual => Bin::Ne,
        BinaryOperator::Less => Bin::Lt,
        BinaryOperator::LessEqual => Bin::Le,
        BinaryOperator::Greater => Bin::Gt,
        BinaryOperator::GreaterEqual => Bin::Ge,
        BinaryOperator::And | BinaryOperator::LogicalAnd => Bin::And,
        BinaryOperator::InclusiveOr | BinaryOperator::LogicalOr => Bin::Or,
        BinaryOperator::ExclusiveOr => Bin::Xor,
        BinaryOperator::ShiftLeft => Bin::Shl,
        BinaryOperator::ShiftRight => Bin::Shr,
    }
}
