//! Uniformity: does every invocation of a workgroup reach a barrier together?
//!
//! Every value and every place in the control flow has a set of *sources* that it depends on: the function's arguments, the control flow
//! at its call, and `VARIES`, which stands for anything that may differ between invocations. A function is read once, after those it
//! calls, until its sets no longer grow; its summary is put into the sets of its callers. Local variables have one set for the whole
//! function, so the analysis is a little stricter than WGSL's own (§15.2), which follows values through assignments.

use std::collections::{BTreeMap, HashMap};

use naga::{
    AddressSpace, Barrier, Block, BuiltIn, Expression, Function, Handle, Span, Statement, StorageAccess, TypeInner,
};

use super::{Finding, Rule, at};
use crate::link::Module;

/// A set of sources: bit `i` is argument `i`.
type Sources = u64;
/// Differs between invocations.
const VARIES: Sources = 1 << 63;
/// The control flow at the function's call.
const CALLER: Sources = 1 << 62;

/// Who must stay together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Workgroup,
    Subgroup,
}

/// Something that all invocations of a scope must reach together: what it is called, where it is, and what its being reached depends on.
#[derive(Clone, PartialEq)]
struct Need {
    what: &'static str,
    span: Span,
    sources: Sources,
    /// The condition on which invocations part, if it is known.
    parting: Option<Span>,
}

/// What callers must know about a function.
#[derive(Clone, Default, PartialEq)]
struct Summary {
    result: Sources,
    /// What is behind each pointer argument after the call.
    pointees: Vec<Sources>,
    needs: BTreeMap<usize, Need>,
}

pub(super) fn check(module: &Module) -> Vec<Finding> {
    let mut found = Vec::new();
    for (scope, rule) in [(Scope::Workgroup, Rule::NonUniformBarrier), (Scope::Subgroup, Rule::NonUniformSubgroup)] {
        let mut summaries = HashMap::new();
        for (handle, function) in module.naga.functions.iter() {
            let summary = Walk::new(module, function, scope, &summaries, false).run();
            summaries.insert(handle, summary);
        }
        let entry = Walk::new(module, &module.naga.entry_points[0].function, scope, &summaries, true).run();
        for need in entry.needs.values().filter(|n| n.sources & VARIES != 0) {
            let why =
                need.parting.map(|span| module.locate(span)).map(|o| format!(" (they part at {}:{})", o.file, o.line));
            let message =
                format!("{}: not all invocations may get here together{}", need.what, why.unwrap_or_default());
            found.push(at(module, need.span, rule, message));
        }
    }
    found
}

/// How control leaves a block: the sources on which each way depends.
#[derive(Clone, Copy, Default)]
struct Exits {
    /// At the end of the block.
    flow: Sources,
    breaks: Sources,
    continues: Sources,
    returns: Sources,
}

struct Walk<'a> {
    module: &'a Module,
    function: &'a Function,
    scope: Scope,
    summaries: &'a HashMap<Handle<Function>, Summary>,
    is_entry: bool,
    values: Vec<Sources>,
    locals: Vec<Sources>,
    call_results: HashMap<Handle<Expression>, Sources>,
    parting: Option<Span>,
    summary: Summary,
}

impl<'a> Walk<'a> {
    fn new(
        module: &'a Module,
        function: &'a Function,
        scope: Scope,
        summaries: &'a HashMap<Handle<Function>, Summary>,
        is_entry: bool,
    ) -> Self {
        let pointees = (0..function.arguments.len()).map(argument).collect();
        Self {
            module,
            function,
            scope,
            summaries,
            is_entry,
            values: vec![0; function.expressions.len()],
            locals: vec![0; function.local_variables.len()],
            call_results: HashMap::new(),
            parting: None,
            summary: Summary { result: 0, pointees, needs: BTreeMap::new() },
        }
    }

    fn run(mut self) -> Summary {
        loop {
            let before = (self.locals.clone(), self.call_results.clone(), self.summary.clone());
            for (handle, expression) in self.function.expressions.iter() {
                self.values[handle.index()] = self.value(handle, expression);
            }
            self.block(&self.function.body, if self.is_entry { 0 } else { CALLER });
            if before == (self.locals.clone(), self.call_results.clone(), self.summary.clone()) {
                return self.summary;
            }
        }
    }

    fn of(&self, handle: Handle<Expression>) -> Sources {
        self.values[handle.index()]
    }

    fn value(&self, handle: Handle<Expression>, expression: &Expression) -> Sources {
        let some = |handle: Option<_>| handle.map_or(0, |h| self.of(h));
        match *expression {
            Expression::Literal(_) | Expression::Constant(_) | Expression::Override(_) | Expression::ZeroValue(_) => 0,
            Expression::Compose { ref components, .. } => components.iter().fold(0, |s, &c| s | self.of(c)),
            Expression::AccessIndex { base, index } => match self.builtin(base, Some(index)) {
                Some(sources) => sources,
                None => self.of(base),
            },
            Expression::Access { base, index } => self.of(base) | self.of(index),
            Expression::Splat { value: inner, .. } | Expression::Swizzle { vector: inner, .. } => self.of(inner),
            Expression::FunctionArgument(i) => match self.builtin(handle, None) {
                Some(sources) => sources,
                None => argument(i as usize),
            },
            // A place is as uniform as the indices that lead to it; what lies there is a matter of Load.
            Expression::GlobalVariable(_) | Expression::LocalVariable(_) | Expression::ArrayLength(_) => 0,
            Expression::Load { pointer } => self.load(pointer),
            Expression::Unary { expr, .. }
            | Expression::As { expr, .. }
            | Expression::Relational { argument: expr, .. } => self.of(expr),
            Expression::Binary { left, right, .. } => self.of(left) | self.of(right),
            Expression::Select { condition, accept, reject } => self.of(condition) | self.of(accept) | self.of(reject),
            Expression::Math { arg, arg1, arg2, arg3, .. } => self.of(arg) | some(arg1) | some(arg2) | some(arg3),
            Expression::WorkGroupUniformLoadResult { .. } => 0,
            Expression::CallResult(_)
            | Expression::SubgroupOperationResult { .. }
            | Expression::SubgroupBallotResult => self.call_results.get(&handle).copied().unwrap_or(0),
            _ => VARIES,
        }
    }

    /// Sources of an entry point's argument, or of a member of one; `None` if the expression is not such an argument.
    fn builtin(&self, handle: Handle<Expression>, member: Option<u32>) -> Option<Sources> {
        let Expression::FunctionArgument(i) = self.function.expressions[handle] else {
            return None;
        };
        if !self.is_entry {
            return None;
        }
        let argument = &self.function.arguments[i as usize];
        let binding = match (&self.module.naga.types[argument.ty].inner, member) {
            (TypeInner::Struct { members, .. }, Some(m)) => members[m as usize].binding.as_ref(),
            _ => argument.binding.as_ref(),
        };
        let uniform = match binding {
            Some(naga::Binding::BuiltIn(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups | BuiltIn::WorkGroupSize)) => {
                true
            }
            Some(naga::Binding::BuiltIn(BuiltIn::SubgroupId | BuiltIn::SubgroupSize | BuiltIn::NumSubgroups)) => {
                self.scope == Scope::Subgroup
            }
            _ => false,
        };
        Some(if uniform { 0 } else { VARIES })
    }

    /// The variable behind a pointer.
    fn root(&self, mut pointer: Handle<Expression>) -> &Expression {
        loop {
            match self.function.expressions[pointer] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
                ref root => return root,
            }
        }
    }

    /// What lies behind a pointer, and where it points.
    fn load(&self, pointer: Handle<Expression>) -> Sources {
        let content = match *self.root(pointer) {
            Expression::GlobalVariable(handle) => match self.module.naga.global_variables[handle].space {
                AddressSpace::Uniform | AddressSpace::Immediate => 0,
                AddressSpace::Storage { access } if !access.contains(StorageAccess::STORE) => 0,
                _ => VARIES,
            },
            Expression::LocalVariable(handle) => self.locals[handle.index()],
            Expression::FunctionArgument(i) if self.points_to_local(i) => self.summary.pointees[i as usize],
            _ => VARIES,
        };
        content | self.of(pointer)
    }

    fn points_to_local(&self, i: u32) -> bool {
        let inner = &self.module.naga.types[self.function.arguments[i as usize].ty].inner;
        matches!(inner, TypeInner::Pointer { space: AddressSpace::Function, .. })
            || matches!(inner, TypeInner::ValuePointer { space: AddressSpace::Function, .. })
    }

    /// Records that `sources` flow into what lies behind a pointer. Other memory than the function's own counts as varying anyway.
    fn store(&mut self, pointer: Handle<Expression>, sources: Sources) {
        let sources = sources | self.of(pointer);
        match *self.root(pointer) {
            Expression::LocalVariable(handle) => self.locals[handle.index()] |= sources,
            Expression::FunctionArgument(i) => self.summary.pointees[i as usize] |= sources,
            _ => {}
        }
    }

    fn need(&mut self, what: &'static str, span: Span, sources: Sources, parting: Option<Span>) {
        let key = span.to_range().map_or(0, |r| r.start);
        let parting = parting.filter(|_| sources & VARIES != 0);
        let need = self.summary.needs.entry(key).or_insert(Need { what, span, sources: 0, parting });
        need.sources |= sources;
        need.parting = need.parting.or(parting);
    }

    /// The control flow within a branch on `condition`.
    fn branch(&mut self, condition: Handle<Expression>, flow: Sources) -> Sources {
        let sources = self.of(condition);
        if sources & VARIES != 0 && flow & VARIES == 0 {
            self.parting = Some(self.function.expressions.get_span(condition));
        }
        flow | sources
    }

    fn block(&mut self, block: &Block, flow: Sources) -> Exits {
        let mut exits = Exits { flow, ..Exits::default() };
        for (statement, span) in block.span_iter() {
            let inner = self.statement(statement, *span, exits.flow);
            exits.breaks |= inner.breaks;
            exits.continues |= inner.continues;
            exits.returns |= inner.returns;
            exits.flow |= inner.flow;
        }
        exits
    }

    fn statement(&mut self, statement: &Statement, span: Span, flow: Sources) -> Exits {
        let mut exits = Exits { flow, ..Exits::default() };
        match *statement {
            Statement::Block(ref block) => return self.block(block, flow),
            Statement::If { condition, ref accept, ref reject } => {
                let inner = self.branch(condition, flow);
                return self.join(flow, &[accept, reject], inner, false);
            }
            Statement::Switch { selector, ref cases } => {
                let inner = self.branch(selector, flow);
                let bodies: Vec<_> = cases.iter().map(|c| &c.body).collect();
                return self.join(flow, &bodies, inner, true);
            }
            Statement::Loop { ref body, ref continuing, break_if } => {
                return self.repeat(body, continuing, break_if, flow);
            }
            Statement::Break => exits.breaks = flow,
            Statement::Continue => exits.continues = flow,
            Statement::Return { value } => {
                exits.returns = flow;
                self.summary.result |= value.map_or(0, |v| self.of(v)) | (flow & !CALLER);
            }
            Statement::Store { pointer, value } => {
                let sources = self.of(value) | flow;
                self.store(pointer, sources);
            }
            Statement::Call { function, ref arguments, result } => self.call(function, arguments, result, flow),
            Statement::ControlBarrier(barrier) if self.concerns(barrier) => {
                self.need("barrier", span, flow, self.parting)
            }
            Statement::WorkGroupUniformLoad { .. } if self.scope == Scope::Workgroup => {
                self.need("workgroupUniformLoad", span, flow, self.parting);
            }
            Statement::SubgroupBallot { result, .. } => self.subgroup(span, flow, result, true, 0),
            Statement::SubgroupCollectiveOperation { collective_op, result, .. } => {
                self.subgroup(span, flow, result, collective_op == naga::CollectiveOperation::Reduce, 0);
            }
            Statement::SubgroupGather { ref mode, result, .. } => {
                let (same, index) = match *mode {
                    naga::GatherMode::BroadcastFirst => (true, 0),
                    naga::GatherMode::Broadcast(index) | naga::GatherMode::Shuffle(index) => (true, self.of(index)),
                    _ => (false, 0),
                };
                self.subgroup(span, flow, result, same, index);
            }
            _ => {}
        }
        exits
    }

    fn concerns(&self, barrier: Barrier) -> bool {
        barrier.contains(Barrier::SUB_GROUP) == (self.scope == Scope::Subgroup)
    }

    /// A subgroup operation: its lanes must be together, and if the `same` value goes to all it is uniform within the subgroup.
    fn subgroup(&mut self, span: Span, flow: Sources, result: Handle<Expression>, same: bool, index: Sources) {
        let sources = if same && self.scope == Scope::Subgroup { index } else { VARIES };
        self.call_results.insert(result, sources);
        if self.scope == Scope::Subgroup {
            self.need("subgroup operation", span, flow, self.parting);
        }
    }

    /// Branches that meet again. What left by break, continue or return is missing afterwards.
    fn join(&mut self, flow: Sources, bodies: &[&Block], inner: Sources, is_switch: bool) -> Exits {
        let mut exits = Exits { flow, ..Exits::default() };
        for body in bodies {
            let one = self.block(body, inner);
            exits.breaks |= if is_switch { 0 } else { one.breaks };
            exits.continues |= one.continues;
            exits.returns |= one.returns;
        }
        exits.flow |= exits.breaks | exits.continues | exits.returns;
        exits
    }

    /// A loop: once invocations part in a trip, they stay apart until the loop ends.
    fn repeat(
        &mut self,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
        flow: Sources,
    ) -> Exits {
        let mut inside = flow;
        loop {
            let exits = self.block(body, inside);
            let after = self.block(continuing, inside | exits.flow | exits.breaks | exits.continues);
            let last = break_if.map_or(0, |c| self.branch(c, inside));
            let parted = inside | exits.flow | exits.breaks | exits.continues | exits.returns | after.flow | last;
            if parted == inside {
                return Exits { flow: flow | exits.returns, returns: exits.returns, ..Exits::default() };
            }
            inside = parted;
        }
    }

    fn call(
        &mut self,
        function: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
        flow: Sources,
    ) {
        let summaries = self.summaries;
        let Some(callee) = summaries.get(&function) else {
            return;
        };
        // The callee's arguments in terms of this function's sources; a pointer stands for what lies behind it as well.
        let given: Vec<Sources> = arguments.iter().map(|&a| self.of(a) | self.behind(a)).collect();
        let here = |sources: Sources| {
            let own = sources & VARIES | if sources & CALLER != 0 { flow } else { 0 };
            given.iter().enumerate().fold(own, |s, (i, &g)| if sources & argument(i) != 0 { s | g } else { s })
        };
        for (i, &pointer) in arguments.iter().enumerate() {
            if callee.pointees[i] != argument(i) {
                self.store(pointer, here(callee.pointees[i]));
            }
        }
        if let Some(result) = result {
            *self.call_results.entry(result).or_insert(0) |= here(callee.result);
        }
        for need in callee.needs.values() {
            self.need(need.what, need.span, here(need.sources), need.parting.or(self.parting));
        }
    }

    /// What lies behind a pointer to this function's own memory; nothing for a value.
    fn behind(&self, handle: Handle<Expression>) -> Sources {
        match *self.root(handle) {
            Expression::LocalVariable(local) => self.locals[local.index()],
            Expression::FunctionArgument(i) if self.points_to_local(i) => self.summary.pointees[i as usize],
            _ => 0,
        }
    }
}

/// The source that argument `i` is; beyond the bits there are, any argument varies.
fn argument(i: usize) -> Sources {
    if i < 60 { 1 << i } else { VARIES }
}
