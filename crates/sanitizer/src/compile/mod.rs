//! From naga's IR to [`Code`].

mod expression;
mod math;
mod statement;
mod types;

use std::collections::HashMap;

use naga::proc::Layouter;
use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{AddressSpace, Binding, Expression, Handle, Literal, Module, Span, StorageAccess, TypeInner};

use crate::Error;
use crate::code::{At, BufferDecl, Code, HALF_BITS, Kind, Op, Reg, Space, Variable};

/// A compiled function: where it starts, its arguments and its result.
#[derive(Debug, Clone)]
struct Compiled {
    entry: u32,
    arguments: Vec<Reg>,
    result: Reg,
}

/// Compiles a module's entry point.
struct Unit<'a> {
    module: &'a Module,
    code: Code,
    /// Targets of jumps, by label.
    labels: Vec<u32>,
    functions: Vec<Compiled>,
    globals: Vec<At>,
    /// Registers of constants of one word.
    words: HashMap<u32, Reg>,
    span: Span,
}

/// A function while it is compiled.
struct Body<'u, 'a> {
    unit: &'u mut Unit<'a>,
    function: &'a naga::Function,
    info: &'a FunctionInfo,
    /// What each expression is, once it has been evaluated.
    values: Vec<Option<Value>>,
    arguments: Vec<Reg>,
    locals: Vec<At>,
    result: Reg,
    /// Labels to go to at `break` and `continue`.
    exits: Vec<(u32, Option<u32>)>,
}

/// An expression's value.
#[derive(Debug, Clone, Copy)]
enum Value {
    In(Reg),
    Address(At),
}

/// Compiles entry point number `entry`.
pub(crate) fn compile(module: &Module, info: &ModuleInfo, entry: usize) -> Result<Code, Error> {
    let mut unit = Unit {
        module,
        code: Code { variables: vec![Vec::new()], ..Code::default() },
        labels: Vec::new(),
        functions: Vec::new(),
        globals: Vec::new(),
        words: HashMap::new(),
        span: Span::UNDEFINED,
    };
    unit.globals(info, entry)?;
    for (handle, function) in module.functions.iter() {
        // What this entry point cannot reach may hold anything.
        let compiled = unit.function(function, &info[handle], &[])?;
        unit.functions.push(compiled);
    }
    let point = &module.entry_points[entry];
    unit.code.workgroup_size = point.workgroup_size;
    let builtins = builtins(point)?;
    let compiled = unit.function(&point.function, info.get_entry_point(entry), &builtins)?;
    unit.code.entry = compiled.entry;
    Ok(unit.finish())
}

fn builtins(point: &naga::EntryPoint) -> Result<Vec<Option<Binding>>, Error> {
    Ok(point.function.arguments.iter().map(|a| a.binding.clone()).collect())
}

impl<'a> Unit<'a> {
    fn finish(mut self) -> Code {
        for op in &mut self.code.ops {
            match op {
                Op::Jump { to } | Op::Unless { to, .. } | Op::IfEqual { to, .. } => *to = self.labels[*to as usize],
                _ => {}
            }
        }
        self.code
    }

    fn line_of(&self, error: Error) -> Error {
        match error {
            Error::Unsupported { what, line: 0 } => {
                Error::Unsupported { what, line: self.span.to_range().map_or(0, |r| r.start) }
            }
            other => other,
        }
    }

    /// What follows is compiled from here; naga does not say for everything where it stands.
    fn at(&mut self, span: Span) {
        if span.is_defined() {
            self.span = span;
        }
    }

    fn emit(&mut self, op: Op) {
        self.code.ops.push(op);
        self.code.spans.push(self.span);
    }

    fn here(&self) -> u32 {
        fit(self.code.ops.len())
    }

    fn label(&mut self) -> u32 {
        self.labels.push(0);
        fit(self.labels.len() - 1)
    }

    fn place(&mut self, label: u32) {
        self.labels[label as usize] = self.here();
    }

    /// Registers for `n` words.
    fn registers(&mut self, n: u32) -> Reg {
        let first = fit(self.code.template.len());
        self.code.template.resize((first + n) as usize, 0);
        first
    }

    fn constant(&mut self, word: u32) -> Reg {
        if let Some(&reg) = self.words.get(&word) {
            return reg;
        }
        let reg = self.constants(&[word]);
        self.words.insert(word, reg);
        reg
    }

    fn constants(&mut self, words: &[u32]) -> Reg {
        let first = fit(self.code.template.len());
        self.code.template.extend_from_slice(words);
        first
    }

    /// Gives every global its place.
    fn globals(&mut self, info: &ModuleInfo, entry: usize) -> Result<(), Error> {
        let mut layouter = Layouter::default();
        layouter.update(self.module.to_ctx()).map_err(|e| Error::Invalid { line: 0, message: e.to_string() })?;
        let uses = info.get_entry_point(entry);
        for (handle, global) in self.module.global_variables.iter() {
            self.span = self.module.global_variables.get_span(handle);
            let name = global.name.clone().unwrap_or_default();
            let inner = &self.module.types[global.ty].inner;
            let reached = !uses[handle].is_empty();
            let at = match global.space {
                AddressSpace::Private | AddressSpace::WorkGroup => {
                    let words = if reached { types::words(&self.module.types, inner)? } else { 0 };
                    let init = match global.init {
                        Some(init) if reached => Some(self.global_constant(init)?),
                        _ => None,
                    };
                    self.words_global(global.space == AddressSpace::WorkGroup, name, words, init)
                }
                AddressSpace::Uniform | AddressSpace::Storage { .. } => {
                    let layout = layouter[global.ty];
                    self.buffer(name, global, layout.size, reached).map_err(|e| self.line_of(e))?
                }
                other if reached => {
                    return Err(Error::Unsupported { what: format!("{name}: a variable in {other:?}"), line: 0 });
                }
                _ => At { space: Space::Own, reg: 0, off: 0 },
            };
            self.globals.push(at);
        }
        Ok(())
    }

    fn words_global(&mut self, shared: bool, name: String, words: u32, init: Option<Reg>) -> At {
        let code = &mut self.code;
        let (variables, size, space) = if shared {
            (&mut code.shared, &mut code.shared_words, Space::Workgroup)
        } else {
            (&mut code.variables[0], &mut code.own_words, Space::Own)
        };
        let start = *size;
        variables.push(Variable { name, start, words, init });
        *size += words;
        At { space, reg: self.constant(start), off: 0 }
    }

    fn buffer(&mut self, name: String, global: &naga::GlobalVariable, size: u32, reached: bool) -> Result<At, Error> {
        let nowhere = At { space: Space::Buffer, reg: 0, off: 0 };
        let Some(binding) = global.binding.filter(|_| reached) else { return Ok(nowhere) };
        let types = &self.module.types;
        let (mut scalars, mut least, mut stride) = (Vec::new(), size, 0);
        types::scalars(types, &types[global.ty].inner, 0, &mut scalars)?;
        let last = match &types[global.ty].inner {
            TypeInner::Struct { members, .. } => members.last().map(|m| (m.offset, &types[m.ty].inner)),
            inner => Some((0, inner)),
        };
        if let Some((offset, inner @ TypeInner::Array { size: naga::ArraySize::Dynamic, base, stride: step })) = last {
            let _ = inner;
            types::scalars(types, &types[*base].inner, offset, &mut scalars)?;
            (least, stride) = (offset + step, *step);
        }
        let index = fit(self.code.buffers.len());
        if index >= (1 << (32 - HALF_BITS)) - 1 {
            return Err(Error::Unsupported { what: "more than 62 buffers".into(), line: 0 });
        }
        let writable =
            matches!(global.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
        self.code.buffers.push(BufferDecl {
            name,
            group: binding.group,
            binding: binding.binding,
            writable,
            uniform: global.space == AddressSpace::Uniform,
            least,
            stride,
            narrow: scalars.iter().any(|(_, kind)| *kind == Kind::F16),
            kind: scalars.first().map_or(Kind::U32, |&(_, kind)| kind),
        });
        Ok(At { space: Space::Buffer, reg: self.constant(index << HALF_BITS), off: 0 })
    }

    fn global_constant(&mut self, init: Handle<Expression>) -> Result<Reg, Error> {
        let mut words = Vec::new();
        constant_words(self.module, &self.module.global_expressions, init, &mut words)?;
        Ok(self.constants(&words))
    }

    fn function(
        &mut self,
        function: &'a naga::Function,
        info: &'a FunctionInfo,
        builtins: &[Option<Binding>],
    ) -> Result<Compiled, Error> {
        let types = &self.module.types;
        let mut arguments = Vec::new();
        for argument in &function.arguments {
            let words = types::words(types, &types[argument.ty].inner)?;
            arguments.push(self.registers(words));
        }
        for (at, binding) in builtins.iter().enumerate() {
            self.builtin(function.arguments[at].ty, binding.as_ref(), arguments[at])?;
        }
        let result = match &function.result {
            Some(r) => types::words(types, &types[r.ty].inner)?,
            None => 0,
        };
        let result = self.registers(result);
        let entry = self.here();
        let values = vec![None; function.expressions.len()];
        let mut body = Body { unit: self, function, info, values, arguments, locals: vec![], result, exits: vec![] };
        body.variables()?;
        if let Err(error) = body.block(&function.body) {
            return Err(self.line_of(error));
        }
        body.unit.emit(Op::Return);
        let Body { arguments, .. } = body;
        Ok(Compiled { entry, arguments, result })
    }

    /// Notes which built-in values go where.
    fn builtin(&mut self, ty: Handle<naga::Type>, binding: Option<&Binding>, reg: Reg) -> Result<(), Error> {
        match (binding, &self.module.types[ty].inner) {
            (Some(Binding::BuiltIn(builtin)), _) => self.code.builtins.push((reg, *builtin)),
            (None, TypeInner::Struct { members, .. }) => {
                for (index, member) in members.iter().enumerate() {
                    let (words, _) = types::part(&self.module.types, &self.module.types[ty].inner, fit(index))?;
                    self.builtin(member.ty, member.binding.as_ref(), reg + words)?;
                }
            }
            _ => return Err(Error::Unsupported { what: "an argument that is not a built-in value".into(), line: 0 }),
        }
        Ok(())
    }
}

/// A count as registers and operations have it.
fn fit(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn literal(literal: Literal) -> Result<u32, Error> {
    Ok(match literal {
        Literal::F32(x) => x.to_bits(),
        Literal::F16(x) => x.to_f32().to_bits(),
        Literal::U32(x) => x,
        Literal::I32(x) => x.cast_unsigned(),
        Literal::Bool(x) => u32::from(x),
        other => return Err(Error::Unsupported { what: format!("the literal {other:?}"), line: 0 }),
    })
}

/// The words of a constant expression.
fn constant_words(
    module: &Module,
    arena: &naga::Arena<Expression>,
    handle: Handle<Expression>,
    all: &mut Vec<u32>,
) -> Result<(), Error> {
    match &arena[handle] {
        Expression::Literal(l) => all.push(literal(*l)?),
        Expression::Constant(c) => {
            constant_words(module, &module.global_expressions, module.constants[*c].init, all)?;
        }
        Expression::ZeroValue(ty) => {
            let words = types::words(&module.types, &module.types[*ty].inner)?;
            all.resize(all.len() + words as usize, 0);
        }
        Expression::Compose { components, .. } => {
            for &component in components {
                constant_words(module, arena, component, all)?;
            }
        }
        Expression::Splat { size, value } => {
            for _ in 0..*size as usize {
                constant_words(module, arena, *value, all)?;
            }
        }
        other => return Err(Error::Unsupported { what: format!("the constant expression {other:?}"), line: 0 }),
    }
    Ok(())
}
