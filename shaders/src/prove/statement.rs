//! Statements.

use std::rc::Rc;

use naga::{GatherMode, Statement, SubgroupOperation, SwitchValue};

use super::machine::{Machine, Owner};
use super::terms::{Cond, Terms};
use super::value::{Root, Value, anything, replaced};

impl<'a> Machine<'a> {
    /// Runs a statement. Whether control goes on behind it.
    pub(super) fn statement(&mut self, statement: &'a Statement, span: naga::Span) -> bool {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    if !self.burn() {
                        return false;
                    }
                    let value = self.compute(handle);
                    self.frame_mut().cache[handle.index()] = Some(value);
                }
            }
            Statement::Block(block) => return self.block(block),
            Statement::If { condition, accept, reject } => {
                let cond = self.eval(*condition).cond();
                return self.branch(&cond, accept, reject);
            }
            Statement::Switch { selector, cases } => return self.switch(*selector, cases),
            Statement::Loop { body, continuing, break_if } => {
                return self.repeat(body, continuing, *break_if, span);
            }
            Statement::Break => {
                if let Some(&id) = self.frame().breaks.last() {
                    self.leave(Owner::Break(id), None);
                }
                return false;
            }
            Statement::Continue => {
                if let Some(&id) = self.frame().loops.last() {
                    self.leave(Owner::Continue(id), None);
                }
                return false;
            }
            Statement::Return { value } => {
                let value = value.map(|v| self.eval(v));
                let call = self.frame().call;
                self.leave(Owner::Return(call), value);
                return false;
            }
            Statement::Kill => return false,
            Statement::Store { pointer, value } => {
                let (place, value) = (self.eval(*pointer), self.eval(*value));
                self.store(&place, &value);
            }
            Statement::Call { function, arguments, result } => {
                let arguments = arguments.iter().map(|a| self.eval(*a)).collect();
                let callee = &self.module.functions[*function];
                let Some(value) = self.call(Some(*function), callee, &self.info[*function], arguments) else {
                    return false;
                };
                if let (Some(result), Some(value)) = (result, value) {
                    self.frame_mut().cache[result.index()] = Some(value);
                }
            }
            other => self.operation(other),
        }
        true
    }

    fn store(&mut self, place: &Value, value: &Value) {
        let Value::Place(place) = place else { return };
        if let Root::Slot(slot) = place.root {
            let old = self.slots[slot].clone();
            self.slots[slot] = replaced(&mut self.terms, &old, &place.path, value);
        }
    }

    /// Statements that make a value that little is known of.
    fn operation(&mut self, statement: &'a Statement) {
        match statement {
            Statement::Atomic { result: Some(result), .. } | Statement::WorkGroupUniformLoad { result, .. } => {
                self.make_anything(*result);
            }
            Statement::SubgroupBallot { result, .. } => self.make_anything(*result),
            Statement::SubgroupGather { mode, argument, result } => {
                // a lane that there is, and that takes part
                let kept = matches!(mode, GatherMode::BroadcastFirst);
                self.make_like(*argument, *result, kept);
            }
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                let kept = matches!(op, SubgroupOperation::Min | SubgroupOperation::Max)
                    && matches!(collective_op, naga::CollectiveOperation::Reduce);
                self.make_like(*argument, *result, kept);
            }
            Statement::CooperativeStore { target, data } => {
                let edge = match self.inner(*target) {
                    naga::TypeInner::CooperativeMatrix { columns, rows, .. } => (columns as i128).max(rows as i128),
                    _ => 16,
                };
                self.matrix(data, None, edge);
            }
            _ => {}
        }
    }

    fn make_anything(&mut self, result: naga::Handle<naga::Expression>) {
        let inner = self.inner(result);
        let value = anything(&mut self.terms, &self.module.types, &inner);
        self.frame_mut().cache[result.index()] = Some(value);
    }

    fn make_like(
        &mut self,
        argument: naga::Handle<naga::Expression>,
        result: naga::Handle<naga::Expression>,
        kept: bool,
    ) {
        let value = self.eval(argument);
        match value {
            Value::Int(t) if kept => {
                let range = self.terms.range(t);
                let own = self.terms.fresh(t.signed, range);
                self.frame_mut().cache[result.index()] = Some(Value::Int(own));
            }
            _ => self.make_anything(result),
        }
    }

    fn switch(&mut self, selector: naga::Handle<naga::Expression>, cases: &'a [naga::SwitchCase]) -> bool {
        let value = self.eval(selector);
        let (mark, path, before) = (self.terms.mark(), self.path.len(), self.slots.clone());
        let id = self.next;
        self.next += 1;
        self.frame_mut().breaks.push(id);
        for (n, case) in cases.iter().enumerate() {
            self.slots.clone_from(&before);
            if let (Value::Int(t), Some(number)) = (&value, number_of(case.value)) {
                let cond = Rc::new(Cond::Equal(*t, Terms::constant(t.signed, number)));
                self.terms.assume(&cond, true);
            }
            if !self.terms.dead {
                let mut falls = true;
                let mut through = n;
                // a body that falls through goes on in the next
                while falls && through < cases.len() {
                    falls = self.block(&cases[through].body);
                    if !cases[through].fall_through {
                        break;
                    }
                    through += 1;
                }
                if falls {
                    self.leave(Owner::Break(id), None);
                }
            }
            self.undo(mark);
            self.path.truncate(path);
        }
        self.frame_mut().breaks.pop();
        self.joined(Owner::Break(id), path).is_some()
    }
}

fn number_of(value: SwitchValue) -> Option<i128> {
    match value {
        SwitchValue::I32(n) => Some(n.into()),
        SwitchValue::U32(n) => Some(n.into()),
        SwitchValue::Default => None,
    }
}
