//! Rules that every variant obeys, checked over naga's IR and the text. Each rule has an explanation here and a failing example in the tests.

mod arithmetic;
mod fresh;
mod matrix;
#[cfg(test)]
mod tests;
mod uniformity;

use std::fmt;

use gatefold_core::Operand;

use crate::Plan;
use crate::link::Module;
use crate::reflect::BindingKind;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A barrier or `workgroupUniformLoad` that not all invocations of a workgroup may reach together.
    NonUniformBarrier,
    /// A subgroup operation that not all invocations of a subgroup may reach together.
    NonUniformSubgroup,
    /// Matrix operations and subgroup operations in one module.
    MixedUnits,
    /// More workgroup memory than the context allows.
    WorkgroupMemory,
    /// More invocations per workgroup than the context allows.
    Invocations,
    /// More storage buffers than the context allows.
    StorageBuffers,
    /// A global that is neither an operand nor scratch of the plan.
    UnknownGlobal,
    /// An input operand bound for writing.
    WrittenInput,
    /// Arithmetic in f16.
    HalfArithmetic,
    /// `tanh` of an unclamped argument.
    BareTanh,
    /// An infinity, or a literal too near to it.
    Infinity,
    /// A variable in a loop without an initialiser.
    Fresh,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 12] = [
        Self::NonUniformBarrier,
        Self::NonUniformSubgroup,
        Self::MixedUnits,
        Self::WorkgroupMemory,
        Self::Invocations,
        Self::StorageBuffers,
        Self::UnknownGlobal,
        Self::WrittenInput,
        Self::HalfArithmetic,
        Self::BareTanh,
        Self::Infinity,
        Self::Fresh,
    ];

    /// Why the rule is there.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::NonUniformBarrier => {
                "naga accepts a barrier in non-uniform control flow, browsers reject the module; on a GPU it hangs or races. Branch on \
                 workgroup_id, num_workgroups, uniforms and read-only storage only, or pass the value through workgroupUniformLoad"
            }
            Self::NonUniformSubgroup => {
                "a subgroup operation that some lanes skip sees fewer values on some drivers and stale ones on others"
            }
            Self::MixedUnits => "a driver crashes on a module that has both matrix and subgroup operations",
            Self::WorkgroupMemory => {
                "WebGPU guarantees 16 384 bytes of workgroup memory, counted in units of 16 bytes a variable"
            }
            Self::Invocations => "WebGPU guarantees 256 invocations per workgroup",
            Self::StorageBuffers => "WebGPU guarantees 8 storage buffers per stage",
            Self::UnknownGlobal => {
                "buffers are bound by name: a global that is not an operand or scratch of the plan is never bound"
            }
            Self::WrittenInput => "inputs belong to the caller and are bound read-only",
            Self::HalfArithmetic => {
                "f16 is storage only: sums in f16 overflow at 65 504 and lose 2^-11 per step. Convert to f32 first"
            }
            Self::BareTanh => {
                "tanh of a large argument is NaN on shipping drivers, and is promised to 1e-5 absolute only: clamp the argument"
            }
            Self::Infinity => {
                "WGSL compilers may assume that no infinity occurs, and reject constant ones: use the sentinel -3.0e38 in arithmetic and \
                 integer bits in storage"
            }
            Self::Fresh => {
                "WGSL makes a variable zero each time its declaration is reached, but compilers of shipping browsers do so once per call: in \
                 a loop it holds what the last trip left. Write the zero down: `var x = T();`"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonUniformBarrier => "non-uniform-barrier",
            Self::NonUniformSubgroup => "non-uniform-subgroup",
            Self::MixedUnits => "mixed-units",
            Self::WorkgroupMemory => "workgroup-memory",
            Self::Invocations => "invocations",
            Self::StorageBuffers => "storage-buffers",
            Self::UnknownGlobal => "unknown-global",
            Self::WrittenInput => "written-input",
            Self::HalfArithmetic => "half-arithmetic",
            Self::BareTanh => "bare-tanh",
            Self::Infinity => "infinity",
            Self::Fresh => "fresh",
        })
    }
}

/// A breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// WGSL file, path below `shaders/src`.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// What was found.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.message)
    }
}

/// What the rules measure a module against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintContext {
    /// Names that a kernel may bind, and whether it may write them.
    pub names: Vec<(String, bool)>,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations per workgroup.
    pub invocations: u32,
    /// Storage buffers per stage.
    pub storage_buffers: usize,
}

impl LintContext {
    /// The operands of an op and the scratch of its plan, against WebGPU's default limits.
    pub fn new(plan: &Plan, operands: &[Operand]) -> Self {
        let operands = operands.iter().map(|o| (o.name.to_string(), o.role.is_made()));
        let scratch = plan.scratch.iter().map(|s| (s.name.to_string(), true));
        let mut names: Vec<_> = operands.chain(scratch).collect();
        for &(global, operand) in plan.steps.iter().flat_map(|s| &s.binds) {
            let written = names.iter().find(|(name, _)| name == operand).is_some_and(|&(_, written)| written);
            names.push((global.into(), written));
        }
        Self { names, workgroup_bytes: 16_384, invocations: 256, storage_buffers: 8 }
    }
}

/// Checks a module against every rule. The order of the findings is that of [`Rule::ALL`].
pub fn lint(module: &Module, context: &LintContext) -> Vec<Finding> {
    let mut findings = lint_text(module);
    findings.extend(lint_plan(module, context));
    findings.sort_by_key(|f| f.rule);
    findings
}

/// The rules that are about a kernel's text alone.
pub fn lint_text(module: &Module) -> Vec<Finding> {
    let mut findings = uniformity::check(module);
    findings.extend(matrix::check(module));
    findings.extend(arithmetic::check(module));
    findings.extend(fresh::check(module));
    findings
}

/// The rules that are about what a plan gives a kernel.
pub fn lint_plan(module: &Module, context: &LintContext) -> Vec<Finding> {
    let mut findings = sizes(module, context);
    findings.extend(bindings(module, context));
    findings
}

fn at(module: &Module, span: naga::Span, rule: Rule, message: String) -> Finding {
    let origin = module.locate(span);
    Finding { rule, file: origin.file.into(), line: origin.line, message }
}

fn sizes(module: &Module, context: &LintContext) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut limit = |rule, what: &str, need: u64, have: u64| {
        if need > have {
            found.push(at(module, entry_span(module), rule, format!("{need} {what}, at most {have} allowed")));
        }
    };
    let invocations = module.workgroup_size.iter().map(|&n| u64::from(n)).product();
    let buffers = module.bindings.iter().filter(|b| b.kind != BindingKind::Uniform).count() as u64;
    let [bytes, most] = [module.workgroup_bytes, context.workgroup_bytes].map(u64::from);
    limit(Rule::WorkgroupMemory, "bytes of workgroup memory", bytes, most);
    limit(Rule::Invocations, "invocations per workgroup", invocations, u64::from(context.invocations));
    limit(Rule::StorageBuffers, "storage buffers", buffers, context.storage_buffers as u64);
    found
}

fn bindings(module: &Module, context: &LintContext) -> Vec<Finding> {
    let mut found = Vec::new();
    for binding in module.bindings.iter().filter(|b| b.kind != BindingKind::Uniform) {
        let name = &binding.name;
        let globals = &module.naga.global_variables;
        let handle = globals.iter().find(|(_, g)| g.name.as_ref() == Some(name)).map(|(h, _)| h);
        let span = handle.map_or_else(naga::Span::default, |h| globals.get_span(h));
        match context.names.iter().find(|(known, _)| known == name) {
            None => found.push(at(
                module,
                span,
                Rule::UnknownGlobal,
                format!("{name} is neither an operand nor scratch of the plan"),
            )),
            Some((_, false)) if binding.kind == BindingKind::ReadWrite => {
                found.push(at(module, span, Rule::WrittenInput, format!("{name} is an input and bound for writing")));
            }
            Some(_) => {}
        }
    }
    found
}

/// The first statement of `main`.
fn entry_span(module: &Module) -> naga::Span {
    let body = &module.naga.entry_points[0].function.body;
    body.span_iter().next().map(|(_, span)| *span).unwrap_or_default()
}
