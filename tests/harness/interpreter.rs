//! A plan in the interpreter: what `gatefold-wgpu` does with buffers, bindings and parameters, without a device.
//!
//! Outputs and scratch begin as memory that nobody has written, dispatches run in order, and what one leaves is what the next finds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use gatefold_core::{Op, Operand, Role, Tensor, Tensors};
use gatefold_sanitizer::{Adversary, Buffer, Finding, Launch, Options, Program, Undefined, run};
use gatefold_shaders::link::{Module, link};
use gatefold_shaders::reflect::{Binding, BindingKind};
use gatefold_shaders::{Dispatch, Param, Plan, Step};

/// Least bytes of a binding, as the backend has it.
const LEAST_BYTES: usize = 16;

/// Programs kept at most: each is some megabytes.
const MOST_PROGRAMS: usize = 256;

/// A step, linked and compiled.
pub struct Compiled {
    module: Module,
    program: Program,
}

/// Steps compiled so far, by variant name.
#[derive(Default)]
pub struct Programs(Mutex<HashMap<String, Arc<Compiled>>>);

impl Programs {
    /// A step, linked and compiled if it has not been.
    ///
    /// # Errors
    /// If it does not link, or has what the interpreter does not know.
    pub fn get(&self, step: &Step) -> Result<Arc<Compiled>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&step.name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let module = link(step)?;
        let program = Program::from_module(&module.naga, &module.info, &module.text, None);
        let program = program.with_context(|| step.name.clone())?;
        let compiled = Arc::new(Compiled { module, program });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_PROGRAMS {
            all.clear();
        }
        Ok(all.entry(step.name.clone()).or_insert(compiled).clone())
    }

    /// Drops the variant of that name.
    pub fn forget(&self, variant: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(variant);
    }
}

/// Workgroups of all dispatches.
pub fn groups(plan: &Plan) -> u64 {
    let dispatches = plan.steps.iter().flat_map(|s| &s.dispatches);
    dispatches.map(|d| d.grid.iter().map(|&g| u64::from(g)).product::<u64>()).sum()
}

/// Work of a case for the interpreter: what it computes, and what it moves.
pub fn work(op: &impl Op) -> f64 {
    let cost = op.cost();
    cost.flops.max(cost.bytes / 4.0)
}

/// How a plan is interpreted.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Lanes of a subgroup.
    pub subgroup: u32,
    /// Seed of the order of turns.
    pub seed: u64,
    /// Whose arithmetic.
    pub adversary: Option<Adversary>,
}

/// A finding and the place in the file that it is about.
#[derive(Debug, Clone)]
pub struct Located {
    /// Variant name.
    pub variant: String,
    /// File of WGSL.
    pub file: &'static str,
    /// Line in it, from 1.
    pub line: usize,
    /// What was found.
    pub finding: Finding,
}

impl std::fmt::Display for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { kind, message, site, conflict, count, .. } = &self.finding;
        write!(f, "{}:{}: {kind}: {message}; {site}", self.file, self.line)?;
        if let Some(other) = conflict {
            write!(f, "; {} by {}", other.what, other.site)?;
        }
        write!(f, "; {count} times; {}", self.variant)
    }
}

/// What came of a plan.
#[derive(Debug)]
pub struct Ran {
    /// Outputs by name.
    pub outputs: Tensors,
    /// Races, indices out of bounds, barriers that not all reach, ….
    pub findings: Vec<Located>,
    /// What is wrong beside: outputs that are not written, more loop trips than the plan says.
    pub faults: Vec<String>,
    /// Operations interpreted.
    pub operations: u64,
}

/// Interprets a plan.
///
/// # Errors
/// Those of [`Programs::get`], operands that are not given, windows that do not fit, and those of [`gatefold_sanitizer::run`].
pub fn execute(programs: &Programs, plan: &Plan, operands: &[Operand], inputs: &Tensors, how: How) -> Result<Ran> {
    let mut buffers = allocate(plan, operands, inputs)?;
    let mut ran = Ran { outputs: Tensors::new(), findings: Vec::new(), faults: Vec::new(), operations: 0 };
    let mut turn = how.seed;
    for step in &plan.steps {
        let compiled = programs.get(step)?;
        for dispatch in &step.dispatches {
            turn = turn.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let options = Options {
                seed: turn,
                subgroup_size: how.subgroup,
                // One more than the plan says is a fault; a loop that has no end is not waited for.
                trip_cap: step.trips.saturating_add(1),
                // Padding that nobody has written may be moved about: what counts is whether an output depends on it.
                undefined: Undefined::Decisions,
                adversary: how.adversary.map(|a| Adversary { seed: a.seed ^ turn, ..a }),
                ..Options::default()
            };
            one(&compiled, step, dispatch, &options, &mut buffers, &mut ran).with_context(|| step.name.clone())?;
        }
    }
    for operand in operands.iter().filter(|o| o.role.is_made()) {
        let bytes = usize::try_from(operand.bytes())?;
        let buffer = &buffers[operand.name];
        if !plan.steps.is_empty()
            && let Some(at) = buffer.first_unwritten(0..bytes)
        {
            ran.faults
                .push(format!("{}: byte {at} is not written, or depends on what nobody has written", operand.name));
        }
        let data = if plan.steps.is_empty() && operand.role == Role::Output {
            vec![0; bytes]
        } else {
            buffer.bytes()[..bytes].to_vec()
        };
        ran.outputs.insert(operand.name, Tensor::from_bytes(operand.dtype, operand.dims.clone(), &data)?);
    }
    Ok(ran)
}

/// The buffers of a run by name, as they are before the first step.
fn allocate(plan: &Plan, operands: &[Operand], inputs: &Tensors) -> Result<BTreeMap<String, Buffer>> {
    let mut buffers = BTreeMap::new();
    for operand in operands {
        let bytes = usize::try_from(operand.bytes())?;
        let buffer = if operand.role.is_given() {
            let given = inputs.get(operand.name).ok_or_else(|| anyhow!("{}: is not given", operand.name))?;
            // The backend fills the last word up with zeros.
            let mut data = given.bytes().to_vec();
            data.resize(data.len().next_multiple_of(4), 0);
            Buffer::new(data)
        } else {
            Buffer::uninitialised(bytes)
        };
        buffers.insert(operand.name.to_string(), buffer.at_least(LEAST_BYTES));
    }
    for scratch in &plan.scratch {
        let mut buffer = Buffer::uninitialised(usize::try_from(scratch.bytes)?).at_least(LEAST_BYTES);
        for packed in plan.packed.iter().filter(|p| p.scratch == scratch.name) {
            let data = inputs.get(packed.operand).ok_or_else(|| anyhow!("{}: is not an input", packed.operand))?;
            let length = usize::try_from(packed.bytes)?.min(data.bytes().len());
            buffer.write(usize::try_from(packed.offset)?, &data.bytes()[..length]);
        }
        buffers.insert(scratch.name.to_string(), buffer);
    }
    Ok(buffers)
}

/// The bytes of `params`.
fn params(module: &Module, dispatch: &Dispatch) -> Result<Buffer> {
    let mut bytes = vec![0; module.params_bytes as usize];
    for field in &module.params {
        let given = dispatch.params.iter().find(|(name, _)| *name == field.name);
        let (_, value) = given.ok_or_else(|| anyhow!("params.{}: the dispatch gives no value", field.name))?;
        let word = match *value {
            Param::U32(value) => value.to_le_bytes(),
            Param::I32(value) => value.to_le_bytes(),
            Param::F32(value) => value.to_le_bytes(),
        };
        bytes[field.offset as usize..][..4].copy_from_slice(&word);
    }
    Ok(Buffer::new(bytes))
}

/// The bytes that a dispatch binds for a global.
fn window(dispatch: &Dispatch, binding: &Binding, whole: usize) -> Result<std::ops::Range<usize>> {
    let Some(window) = dispatch.windows.iter().find(|w| w.operand == binding.name) else { return Ok(0..whole) };
    let (start, bytes) = (usize::try_from(window.offset)?, usize::try_from(window.bytes)?.next_multiple_of(4));
    if bytes == 0 || start + bytes > whole {
        bail!("{}: window of {bytes} bytes at {start} in {whole}", binding.name);
    }
    Ok(start..start + bytes)
}

fn one(
    Compiled { module, program }: &Compiled,
    step: &Step,
    dispatch: &Dispatch,
    options: &Options,
    buffers: &mut BTreeMap<String, Buffer>,
    ran: &mut Ran,
) -> Result<()> {
    let (mut launch, mut back) = (Launch::new(dispatch.grid), Vec::new());
    for binding in &module.bindings {
        if binding.kind == BindingKind::Uniform {
            launch = launch.with(binding.name.clone(), params(module, dispatch)?);
            continue;
        }
        let name = step.operand_of(&binding.name);
        let whole = buffers.get(name).ok_or_else(|| anyhow!("{name}: neither an operand nor scratch"))?;
        let range = window(dispatch, binding, whole.len())?;
        launch = launch.with(binding.name.clone(), whole.part(range.clone()));
        if binding.kind == BindingKind::ReadWrite {
            back.push((binding.name.as_str(), name, range.start));
        }
    }
    let outcome = run(program, launch, options)?;
    for (global, name, start) in back {
        if let (Some(part), Some(whole)) = (outcome.buffer(global), buffers.get_mut(name)) {
            whole.put(start, part);
        }
    }
    if outcome.trips > step.trips {
        let (found, said) = (outcome.trips, step.trips);
        ran.faults.push(format!("{}: {found} loop trips of one invocation, the plan says {said}", step.name));
    }
    ran.operations += outcome.operations;
    ran.findings.extend(outcome.findings.into_iter().map(|finding| {
        let origin = module.origins.get((finding.line as usize).wrapping_sub(1));
        let (file, line) = origin.map_or(("prelude", 1), |o| (o.file, o.line));
        Located { variant: step.name.clone(), file, line, finding }
    }));
    Ok(())
}
