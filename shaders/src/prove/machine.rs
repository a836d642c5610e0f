//! The machine: what an invocation of a kernel does, for all values that it may meet at once.

use std::collections::HashMap;
use std::rc::Rc;

use naga::{Block, Expression, Function, Handle, LocalVariable, Module, TypeInner};

use super::range::Range;
use super::terms::{Cond, Term, Terms};
use super::value::{Root, Value};
use super::writes::Writes;
use super::{Numbers, Site, Verified};

/// Expressions and statements that one run may look at.
const FUEL: u64 = 3_000_000;

/// A state in which control left a block: what variables held, and how much of the path's assumptions still held since.
pub(super) struct Left {
    pub(super) owner: Owner,
    pub(super) slots: Vec<Value>,
    pub(super) value: Option<Value>,
    pub(super) path: Vec<Rc<Cond>>,
    /// Assumptions below this mark of the trail have held since.
    pub(super) low: usize,
}

/// What control left, and how: each call and each loop has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Return(usize),
    Break(usize),
    Continue(usize),
}

/// A call of a function.
pub(super) struct Frame<'a> {
    pub(super) function: &'a Function,
    pub(super) info: &'a naga::valid::FunctionInfo,
    /// The function in the module; none for the entry point.
    pub(super) handle: Option<Handle<Function>>,
    pub(super) cache: Vec<Option<Value>>,
    pub(super) arguments: Vec<Value>,
    pub(super) first_slot: usize,
    pub(super) call: usize,
    /// Loops being run, innermost last.
    pub(super) loops: Vec<usize>,
    /// Loops and switches, innermost last: what `break` leaves.
    pub(super) breaks: Vec<usize>,
}

/// The state of a run.
pub(super) struct Machine<'a> {
    pub(super) module: &'a Module,
    pub(super) info: &'a naga::valid::ModuleInfo,
    pub(super) numbers: &'a Numbers,
    pub(super) terms: Terms,
    pub(super) slots: Vec<Value>,
    pub(super) privates: HashMap<Handle<naga::GlobalVariable>, usize>,
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) left: Vec<Left>,
    /// Conditions of the branches taken, outermost first.
    pub(super) path: Vec<Rc<Cond>>,
    /// Loads of memory that nothing writes, by what is read.
    pub(super) reads: HashMap<(Handle<naga::GlobalVariable>, Vec<Term>), Value>,
    pub(super) writes: Rc<Writes>,
    pub(super) recording: bool,
    /// Whether long searches are worth their time: there is nothing smaller to look at.
    pub(super) thorough: bool,
    pub(super) sites: &'a mut HashMap<Site, Verified>,
    pub(super) fuel: u64,
    pub(super) next: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        module: &'a crate::link::Module,
        numbers: &'a Numbers,
        writes: Rc<Writes>,
        sites: &'a mut HashMap<Site, Verified>,
        thorough: bool,
    ) -> Self {
        Self {
            module: &module.naga,
            info: &module.info,
            numbers,
            terms: Terms::new(),
            slots: Vec::new(),
            privates: HashMap::new(),
            frames: Vec::new(),
            left: Vec::new(),
            path: Vec::new(),
            reads: HashMap::new(),
            writes,
            recording: true,
            thorough,
            sites,
            fuel: FUEL,
            next: 0,
        }
    }

    /// Runs the entry point. False if it is too long to be looked at.
    pub(super) fn run(mut self) -> bool {
        for (handle, global) in self.module.global_variables.iter() {
            if global.space == naga::AddressSpace::Private {
                let value = match global.init {
                    Some(init) => self.constant(init),
                    None => super::value::zero(&self.module.types, &self.module.types[global.ty].inner),
                };
                self.privates.insert(handle, self.slots.len());
                self.slots.push(value);
            }
        }
        let entry = &self.module.entry_points[0];
        let arguments = entry.function.arguments.iter().map(|a| self.builtin(a)).collect();
        self.call(None, &entry.function, self.info.get_entry_point(0), arguments);
        self.fuel > 0
    }

    fn builtin(&mut self, argument: &naga::FunctionArgument) -> Value {
        match &argument.binding {
            Some(naga::Binding::BuiltIn(b)) => self.builtin_value(*b),
            _ => match &self.module.types[argument.ty].inner {
                TypeInner::Struct { members, .. } => {
                    let members = members.clone();
                    let parts: Vec<_> = members
                        .iter()
                        .map(|m| match &m.binding {
                            Some(naga::Binding::BuiltIn(b)) => self.builtin_value(*b),
                            _ => Value::Opaque,
                        })
                        .collect();
                    Value::tree(parts)
                }
                _ => Value::Opaque,
            },
        }
    }

    fn builtin_value(&mut self, builtin: naga::BuiltIn) -> Value {
        let size = self.module.entry_points[0].workgroup_size;
        let all: u32 = size.iter().product();
        let (known, same) = (self.numbers.grid, self.numbers.same_grid);
        let mut below = |n: u32| Value::Int(self.terms.fresh(false, Range::new(0, i128::from(n.max(1)) - 1)));
        match builtin {
            naga::BuiltIn::LocalInvocationIndex => below(all),
            naga::BuiltIn::LocalInvocationId => Value::tree(size.map(below)),
            naga::BuiltIn::WorkGroupId => Value::tree(known.map(below)),
            naga::BuiltIn::NumWorkGroups => {
                let least = |n: u32| if same { n } else { 1 };
                Value::tree(known.map(|n| Value::Int(self.terms.fresh(false, Range::new(least(n).into(), n.into())))))
            }
            naga::BuiltIn::GlobalInvocationId => {
                Value::tree([0, 1, 2].map(|n| below(known[n].saturating_mul(size[n]))))
            }
            naga::BuiltIn::SubgroupSize => Value::Int(self.terms.fresh(false, Range::new(1, 128))),
            naga::BuiltIn::SubgroupInvocationId => below(128),
            _ => Value::Int(self.terms.fresh(false, Range::of_type(false))),
        }
    }

    pub(super) fn frame(&self) -> &Frame<'a> {
        &self.frames[self.frames.len() - 1]
    }

    pub(super) fn frame_mut(&mut self) -> &mut Frame<'a> {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// Runs a function on these arguments. `None` if control never comes back.
    pub(super) fn call(
        &mut self,
        handle: Option<Handle<Function>>,
        function: &'a Function,
        info: &'a naga::valid::FunctionInfo,
        arguments: Vec<Value>,
    ) -> Option<Option<Value>> {
        let (first_slot, call) = (self.slots.len(), self.next);
        self.next += 1;
        let cache = vec![None; function.expressions.len()];
        self.frames.push(Frame {
            function,
            info,
            handle,
            cache,
            arguments,
            first_slot,
            call,
            loops: Vec::new(),
            breaks: Vec::new(),
        });
        for (_, local) in function.local_variables.iter() {
            let value = match local.init {
                Some(init) => self.eval(init),
                None => super::value::zero(&self.module.types, &self.module.types[local.ty].inner),
            };
            self.slots.push(value);
        }
        let outer = self.path.len();
        let falls = self.block(&function.body);
        if falls {
            self.leave(Owner::Return(call), None);
        }
        let value = self.joined(Owner::Return(call), outer);
        self.frames.pop();
        self.slots.truncate(first_slot);
        value
    }

    /// Notes that control leaves what `owner` says, in the state at hand.
    pub(super) fn leave(&mut self, owner: Owner, value: Option<Value>) {
        let low = self.terms.mark();
        self.left.push(Left { owner, slots: self.slots.clone(), value, path: self.path.clone(), low });
    }

    pub(super) fn undo(&mut self, mark: usize) {
        self.terms.undo(mark);
        self.terms.dead = false;
        for left in &mut self.left {
            left.low = left.low.min(mark);
        }
    }

    /// Goes on where all who left in this way meet: what variables may hold, and the assumptions that all have in common. `path` is how many
    /// branches there were when what they left began. `None` if nobody left so.
    pub(super) fn joined(&mut self, owner: Owner, path: usize) -> Option<Option<Value>> {
        let mut all = Vec::new();
        let mut n = 0;
        while n < self.left.len() {
            if self.left[n].owner == owner { all.push(self.left.remove(n)) } else { n += 1 }
        }
        let low = all.iter().map(|l| l.low).min()?;
        self.undo(low);
        let mut all = all.into_iter();
        let first = all.next()?;
        let (mut slots, mut value) = (first.slots, first.value);
        let mut ways = first.path[path.min(first.path.len())..].to_vec();
        let single = all.len() == 0;
        for other in all {
            let own = &other.path[path.min(other.path.len())..];
            let slot_count = slots.len();
            for (slot, new) in slots.iter_mut().zip(other.slots.iter()).take(slot_count) {
                *slot = super::value::choice(&mut self.terms, (&ways, slot), (own, new));
            }
            value = match (value, other.value) {
                (Some(a), Some(b)) => Some(super::value::choice(&mut self.terms, (&ways, &a), (own, &b))),
                _ => None,
            };
            // of three and more ways, those before are told by no one condition
            ways.clear();
        }
        self.path.truncate(path);
        if single {
            self.path.extend(ways);
        }
        self.slots = slots;
        Some(value)
    }

    pub(super) fn slot(&self, local: Handle<LocalVariable>) -> Root {
        Root::Slot(self.frame().first_slot + local.index())
    }

    /// Uses up fuel. False if there is none left.
    pub(super) fn burn(&mut self) -> bool {
        self.fuel = self.fuel.saturating_sub(1);
        self.fuel > 0
    }

    /// Runs a block. Whether control falls out of its end.
    pub(super) fn block(&mut self, block: &'a Block) -> bool {
        for (statement, span) in block.span_iter() {
            if !self.burn() {
                return false;
            }
            if !self.statement(statement, *span) {
                return false;
            }
        }
        true
    }

    /// Runs two ways on, one if the condition holds. Whether control comes out of either.
    pub(super) fn branch(&mut self, cond: &Rc<Cond>, yes: &'a Block, no: &'a Block) -> bool {
        if let Some(known) = self.terms.decide(cond) {
            return self.block(if known { yes } else { no });
        }
        let (mark, path) = (self.terms.mark(), self.path.len());
        let owner = Owner::Break(self.next);
        self.next += 1;
        let before = self.slots.clone();
        let not = Rc::new(Cond::Not(Rc::clone(cond)));
        let first = self.way(cond, yes);
        if first {
            self.leave(owner, None);
        }
        self.undo(mark);
        self.path.truncate(path);
        self.slots = before;
        if self.way(&not, no) {
            self.leave(owner, None);
        } else {
            self.undo(mark);
            self.path.truncate(path);
            if first {
                // only the first way comes out: what it assumed holds
                let joined = self.joined(owner, path);
                self.terms.assume(cond, true);
                return joined.is_some();
            }
        }
        self.joined(owner, path).is_some()
    }

    fn way(&mut self, cond: &Rc<Cond>, block: &'a Block) -> bool {
        self.terms.assume(cond, true);
        self.path.push(Rc::clone(cond));
        !self.terms.dead && self.block(block)
    }

    pub(super) fn constant(&mut self, handle: Handle<Expression>) -> Value {
        super::expr::global_value(self, handle)
    }
}
