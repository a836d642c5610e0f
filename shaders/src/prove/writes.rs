//! What a block may write of an invocation's own variables, by looking at its text: what a loop may change.

use std::collections::{HashMap, HashSet};

use naga::{Block, Expression, Function, GlobalVariable, Handle, LocalVariable, Module, Statement};

/// Variables that may be written.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) locals: HashSet<Handle<LocalVariable>>,
    /// Pointers given to the function, by number.
    pub(super) arguments: HashSet<u32>,
    pub(super) globals: HashSet<Handle<GlobalVariable>>,
}

/// What each function may write.
#[derive(Debug, Default)]
pub(super) struct Writes(HashMap<Handle<Function>, Written>);

impl Writes {
    pub(super) fn of(module: &Module) -> Self {
        let mut all = Self::default();
        // a function comes after those that it calls
        for (handle, function) in module.functions.iter() {
            let written = all.block(function, &[&function.body]);
            all.0.insert(handle, written);
        }
        all
    }

    pub(super) fn block(&self, function: &Function, blocks: &[&Block]) -> Written {
        let mut written = Written::default();
        blocks.iter().for_each(|b| self.collect(function, b, &mut written));
        written
    }

    fn collect(&self, function: &Function, block: &Block, out: &mut Written) {
        for statement in block {
            match statement {
                Statement::Block(b) => self.collect(function, b, out),
                Statement::If { accept, reject, .. } => {
                    self.collect(function, accept, out);
                    self.collect(function, reject, out);
                }
                Statement::Switch { cases, .. } => cases.iter().for_each(|c| self.collect(function, &c.body, out)),
                Statement::Loop { body, continuing, .. } => {
                    self.collect(function, body, out);
                    self.collect(function, continuing, out);
                }
                Statement::Store { pointer, .. } | Statement::Atomic { pointer, .. } => root(function, *pointer, out),
                Statement::CooperativeStore { data, .. } => root(function, data.pointer, out),
                Statement::Call { function: callee, arguments, .. } => {
                    let Some(own) = self.0.get(callee) else { continue };
                    out.globals.extend(&own.globals);
                    for n in &own.arguments {
                        if let Some(argument) = arguments.get(*n as usize) {
                            root(function, *argument, out);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Notes the variable that a pointer points into.
fn root(function: &Function, pointer: Handle<Expression>, out: &mut Written) {
    match function.expressions[pointer] {
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => root(function, base, out),
        Expression::LocalVariable(v) => {
            out.locals.insert(v);
        }
        Expression::FunctionArgument(n) => {
            out.arguments.insert(n);
        }
        Expression::GlobalVariable(g) => {
            out.globals.insert(g);
        }
        _ => {}
    }
}
