//! Statements.

use naga::{
    AtomicFunction, Barrier, Block, CollectiveOperation, Direction, Expression, GatherMode, Handle, Statement,
    SubgroupOperation, SwitchCase, SwitchValue, TypeInner,
};

use super::expression::unsupported;
use super::{Body, Value, constant_words, fit, types};
use crate::Error;
use crate::code::{Across, At, Atomic, Bin, Kind, Op, Scan, Space, Variable};

type Expr = Handle<Expression>;

impl Body<'_, '_> {
    /// Gives the function's variables their places.
    pub(super) fn variables(&mut self) -> Result<(), Error> {
        let mut variables = Vec::new();
        for (_, local) in self.function.local_variables.iter() {
            let types = &self.unit.module.types;
            let words = types::words(types, &types[local.ty].inner)?;
            let init = match local.init {
                Some(init) => {
                    let mut all = Vec::new();
                    constant_words(self.unit.module, &self.function.expressions, init, &mut all)?;
                    Some(self.unit.constants(&all))
                }
                None => None,
            };
            let start = self.unit.code.own_words;
            self.unit.code.own_words += words;
            let reg = self.unit.constant(start);
            self.locals.push(At { space: Space::Own, reg, off: 0 });
            variables.push(Variable { name: local.name.clone().unwrap_or_default(), start, words, init });
        }
        if !variables.is_empty() {
            self.unit.code.variables.push(variables);
            let function = fit(self.unit.code.variables.len() - 1);
            self.unit.emit(Op::Enter { function });
        }
        Ok(())
    }

    pub(super) fn block(&mut self, block: &Block) -> Result<(), Error> {
        for (statement, span) in block.span_iter() {
            self.unit.at(*span);
            self.statement(statement)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Error> {
        match statement {
            Statement::Emit(range) => range.clone().try_for_each(|handle| self.evaluate(handle))?,
            Statement::Block(block) => self.block(block)?,
            Statement::If { condition, accept, reject } => self.branch(*condition, accept, reject)?,
            Statement::Switch { selector, cases } => self.switch(*selector, cases)?,
            Statement::Loop { body, continuing, break_if } => self.repeat(body, continuing, *break_if)?,
            Statement::Break => {
                let to = self.exits.last().map_or(0, |e| e.0);
                self.unit.emit(Op::Jump { to });
            }
            Statement::Continue => {
                let to = self.exits.iter().rev().find_map(|e| e.1).unwrap_or(0);
                self.unit.emit(Op::Jump { to });
            }
            Statement::Return { value } => {
                if let Some(value) = *value {
                    let (src, n, dst) = (self.reg(value)?, self.words(value)?, self.result);
                    self.unit.emit(Op::Copy { dst, src, n });
                }
                self.unit.emit(Op::Return);
            }
            Statement::ControlBarrier(flags) | Statement::MemoryBarrier(flags) => self.barrier(*flags),
            Statement::Store { pointer, value } => {
                let (src, at, ty) = (self.reg(*value)?, self.address(*pointer)?, self.behind(*pointer)?);
                if let TypeInner::Atomic(scalar) = ty {
                    let (kind, f) = (types::kind(scalar)?, Atomic::Store);
                    self.unit.emit(Op::Atomic { f, kind, dst: src, at, a: src, b: src });
                } else {
                    self.store(src, at, &ty)?;
                }
            }
            Statement::Atomic { pointer, fun, value, result } => self.atomic(*pointer, *fun, *value, *result)?,
            Statement::WorkGroupUniformLoad { pointer, result } => {
                let barrier = Op::Barrier { workgroup: true, storage: false };
                let (at, ty, n) = (self.address(*pointer)?, self.behind(*pointer)?, self.words(*result)?);
                let dst = self.unit.registers(n);
                self.unit.emit(barrier);
                self.load(dst, at, &ty)?;
                self.unit.emit(barrier);
                self.values[result.index()] = Some(Value::In(dst));
            }
            Statement::Call { function, arguments, result } => self.call(function.index(), arguments, *result)?,
            Statement::SubgroupBallot { result, predicate } => {
                let a = match predicate {
                    Some(predicate) => self.reg(*predicate)?,
                    None => self.unit.constant(1),
                };
                self.across(Across::Ballot, (Kind::Bool, 1), a, a, Some(*result))?;
            }
            Statement::SubgroupGather { mode, argument, result } => self.gather(*mode, *argument, *result)?,
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                let (shape, a) = (self.shape(*argument)?, self.reg(*argument)?);
                self.across(collective(*op, *collective_op), shape, a, a, Some(*result))?;
            }
            Statement::CooperativeStore { .. } => return unsupported("cooperative matrices"),
            other => return unsupported(format!("the statement {other:?}")),
        }
        Ok(())
    }

    fn branch(&mut self, condition: Expr, accept: &Block, reject: &Block) -> Result<(), Error> {
        let (other, end) = (self.unit.label(), self.unit.label());
        let c = self.reg(condition)?;
        self.unit.emit(Op::Unless { c, to: other });
        self.block(accept)?;
        if !reject.is_empty() {
            self.unit.emit(Op::Jump { to: end });
        }
        self.unit.place(other);
        self.block(reject)?;
        self.unit.place(end);
        Ok(())
    }

    fn switch(&mut self, selector: Expr, cases: &[SwitchCase]) -> Result<(), Error> {
        let a = self.reg(selector)?;
        let end = self.unit.label();
        let labels: Vec<_> = cases.iter().map(|_| self.unit.label()).collect();
        let mut otherwise = end;
        for (case, &to) in cases.iter().zip(&labels) {
            match case.value {
                SwitchValue::I32(value) => self.unit.emit(Op::IfEqual { a, value: value.cast_unsigned(), to }),
                SwitchValue::U32(value) => self.unit.emit(Op::IfEqual { a, value, to }),
                SwitchValue::Default => otherwise = to,
            }
        }
        self.unit.emit(Op::Jump { to: otherwise });
        self.exits.push((end, None));
        for (case, &label) in cases.iter().zip(&labels) {
            self.unit.place(label);
            self.block(&case.body)?;
            if !case.fall_through {
                self.unit.emit(Op::Jump { to: end });
            }
        }
        self.exits.pop();
        self.unit.place(end);
        Ok(())
    }

    fn repeat(&mut self, body: &Block, continuing: &Block, break_if: Option<Expr>) -> Result<(), Error> {
        let (start, next, end) = (self.unit.label(), self.unit.label(), self.unit.label());
        let span = self.unit.span;
        self.unit.place(start);
        self.exits.push((end, Some(next)));
        self.block(body)?;
        self.exits.pop();
        self.unit.place(next);
        self.unit.span = span;
        self.unit.emit(Op::Trip);
        self.exits.push((end, None));
        self.block(continuing)?;
        self.exits.pop();
        if let Some(condition) = break_if {
            let c = self.reg(condition)?;
            self.unit.emit(Op::Unless { c, to: start });
        } else {
            self.unit.emit(Op::Jump { to: start });
        }
        self.unit.place(end);
        Ok(())
    }

    fn barrier(&mut self, flags: Barrier) {
        let (workgroup, storage) = (flags.contains(Barrier::WORK_GROUP), flags.contains(Barrier::STORAGE));
        if workgroup || storage {
            self.unit.emit(Op::Barrier { workgroup, storage });
        } else if flags.contains(Barrier::SUB_GROUP) {
            self.unit.code.has_subgroups = true;
            self.unit.emit(Op::Subgroup { f: Across::Barrier, kind: Kind::U32, n: 0, dst: 0, a: 0, at: 0 });
        }
    }

    fn atomic(&mut self, to: Expr, fun: AtomicFunction, value: Expr, result: Option<Expr>) -> Result<(), Error> {
        let ((kind, _), at, a) = (self.shape(value)?, self.address(to)?, self.reg(value)?);
        let mut b = a;
        let f = match fun {
            AtomicFunction::Add => Atomic::Add,
            AtomicFunction::Subtract => Atomic::Sub,
            AtomicFunction::And => Atomic::And,
            AtomicFunction::ExclusiveOr => Atomic::Xor,
            AtomicFunction::InclusiveOr => Atomic::Or,
            AtomicFunction::Min => Atomic::Min,
            AtomicFunction::Max => Atomic::Max,
            AtomicFunction::Exchange { compare: None } => Atomic::Exchange,
            AtomicFunction::Exchange { compare: Some(compare) } => {
                b = self.reg(compare)?;
                Atomic::CompareExchange
            }
        };
        let dst = self.unit.registers(2);
        self.unit.emit(Op::Atomic { f, kind, dst, at, a, b });
        if let Some(result) = result {
            self.values[result.index()] = Some(Value::In(dst));
        }
        Ok(())
    }

    fn call(&mut self, function: usize, arguments: &[Expr], result: Option<Expr>) -> Result<(), Error> {
        let callee = self.unit.functions[function].clone();
        for (&argument, &dst) in arguments.iter().zip(&callee.arguments) {
            let (src, n) = (self.reg(argument)?, self.words(argument)?);
            self.unit.emit(Op::Copy { dst, src, n });
        }
        self.unit.emit(Op::Call { to: callee.entry });
        if let Some(result) = result {
            let n = self.words(result)?;
            let dst = self.unit.registers(n);
            self.unit.emit(Op::Copy { dst, src: callee.result, n });
            self.values[result.index()] = Some(Value::In(dst));
        }
        Ok(())
    }

    fn gather(&mut self, mode: GatherMode, argument: Expr, result: Expr) -> Result<(), Error> {
        let (shape, a) = (self.shape(argument)?, self.reg(argument)?);
        let (f, at) = match mode {
            GatherMode::BroadcastFirst => (Across::First, None),
            GatherMode::Broadcast(at) | GatherMode::Shuffle(at) => (Across::Lane, Some(at)),
            GatherMode::ShuffleDown(at) => (Across::Down, Some(at)),
            GatherMode::ShuffleUp(at) => (Across::Up, Some(at)),
            GatherMode::ShuffleXor(at) => (Across::Xor, Some(at)),
            GatherMode::QuadBroadcast(at) => (Across::Quad, Some(at)),
            GatherMode::QuadSwap(Direction::X) => (Across::QuadSwap(1), None),
            GatherMode::QuadSwap(Direction::Y) => (Across::QuadSwap(2), None),
            GatherMode::QuadSwap(Direction::Diagonal) => (Across::QuadSwap(3), None),
        };
        let at = at.map_or(Ok(a), |at| self.reg(at))?;
        self.across(f, shape, a, at, Some(result))
    }

    fn across(&mut self, f: Across, shape: (Kind, u8), a: u32, at: u32, result: Option<Expr>) -> Result<(), Error> {
        let (kind, n) = shape;
        self.unit.code.has_subgroups = true;
        let dst = self.unit.registers(4);
        self.unit.emit(Op::Subgroup { f, kind, n, dst, a, at });
        if let Some(result) = result {
            self.values[result.index()] = Some(Value::In(dst));
        }
        Ok(())
    }
}

fn collective(op: SubgroupOperation, over: CollectiveOperation) -> Across {
    let scan = match over {
        CollectiveOperation::Reduce => Scan::Whole,
        CollectiveOperation::InclusiveScan => Scan::Inclusive,
        CollectiveOperation::ExclusiveScan => Scan::Exclusive,
    };
    match op {
        SubgroupOperation::All => Across::All,
        SubgroupOperation::Any => Across::Any,
        SubgroupOperation::Add => Across::Fold(Bin::Add, scan),
        SubgroupOperation::Mul => Across::Fold(Bin::Mul, scan),
        SubgroupOperation::And => Across::Fold(Bin::And, scan),
        SubgroupOperation::Or => Across::Fold(Bin::Or, scan),
        SubgroupOperation::Xor => Across::Fold(Bin::Xor, scan),
        SubgroupOperation::Min => Across::Least(scan),
        SubgroupOperation::Max => Across::Largest(scan),
    }
}
