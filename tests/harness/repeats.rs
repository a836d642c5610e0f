//! A plan run over and over: under every order of its workgroups, in one submission with other work, from outputs that hold poison or what they
//! were given. All runs must agree in every bit.

use std::collections::BTreeSet;

use gatefold_core::{Gemm, Op, Operand, Tensor, Tensors};
use gatefold_cpu_ref::{Case, Reference};
use gatefold_shaders::link::expand;
use gatefold_shaders::{Kernels, Plan};
use gatefold_wgpu::{Bindings, Gpu, Prepared, RunOptions, wgpu};

use crate::buffers::{buffer, read};
use crate::schedules::{Schedule, schedules};

/// What outputs hold before each run.
const POISON: u32 = 0x7FC0_DEAD;

/// Largest case, in FLOPs by definition, and longest kernels, in bytes of WGSL: what is to run a thousand times must be small.
const MAX_FLOPS: f64 = 1.5e6;
const MAX_WGSL: usize = 200_000;
/// Most workgroups and dispatches of a plan.
const MAX_GROUPS: u64 = 250;
const MAX_DISPATCHES: usize = 24;

/// An operand that the plan makes.
struct Made {
    operand: Operand,
    /// What it holds before a run.
    before: wgpu::Buffer,
    during: wgpu::Buffer,
    bytes: u64,
}

/// A case with buffers for its operands, ready to be run again and again.
pub struct Repeats<'a> {
    gpu: &'a Gpu,
    operands: Vec<Operand>,
    bindings: Bindings,
    made: Vec<Made>,
    /// Other work, for between.
    other: Prepared,
}

fn filled(gpu: &Gpu, bytes: &[u8], size: u64) -> wgpu::Buffer {
    let made = buffer(gpu, size);
    let mut padded = bytes.to_vec();
    padded.resize(usize::try_from(size).expect("small"), 0);
    gpu.queue().write_buffer(&made, 0, &padded);
    made
}

/// A product of its own, prepared.
fn other_work(gpu: &Gpu) -> Result<Prepared, String> {
    let op = Gemm::new(40, 36, 24);
    let mut bindings = Bindings::new();
    for o in op.operands() {
        bindings = bindings.bind(o.name, &buffer(gpu, o.bytes()), 0);
    }
    let plan = op.plan(gpu.limits()).map_err(|e| e.to_string())?;
    gpu.prepare(&plan, &op.operands(), &bindings).map_err(|e| e.to_string())
}

impl<'a> Repeats<'a> {
    /// Buffers for the operands, the inputs filled.
    ///
    /// # Errors
    /// What the device says.
    pub fn new(gpu: &'a Gpu, operands: Vec<Operand>, inputs: &Tensors) -> Result<Self, String> {
        let (mut bindings, mut made) = (Bindings::new(), Vec::new());
        for o in operands.iter().filter(|o| !o.is_empty()) {
            let bytes = o.bytes().next_multiple_of(4);
            let size = bytes.max(16);
            let given = inputs.get(o.name).filter(|_| o.role.is_given()).map(Tensor::bytes);
            let poison: Vec<u8> =
                POISON.to_le_bytes().into_iter().cycle().take(usize::try_from(size).unwrap_or(0)).collect();
            let during = filled(gpu, given.unwrap_or(&poison), size);
            bindings = bindings.bind(o.name, &during, 0);
            if o.role.is_made() {
                let before = filled(gpu, given.unwrap_or(&poison), size);
                made.push(Made { operand: o.clone(), before, during, bytes });
            }
        }
        Ok(Self { gpu, operands, bindings, made, other: other_work(gpu)? })
    }

    /// Runs a plan `times` times in one submission, before every second one other work. The outputs of each run.
    ///
    /// # Errors
    /// What the device says.
    pub fn run(&self, plan: &Plan, times: u64) -> Result<Vec<Tensors>, String> {
        let prepared = self.gpu.prepare(plan, &self.operands, &self.bindings).map_err(|e| e.to_string())?;
        let all: u64 = self.made.iter().map(|m| m.bytes).sum();
        let kept = buffer(self.gpu, (all * times).max(16));
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut at = 0;
        for run in 0..times {
            for m in &self.made {
                encoder.copy_buffer_to_buffer(&m.before, 0, &m.during, 0, m.before.size());
            }
            if run % 2 == 1 {
                self.other.encode(&mut encoder).map_err(|e| e.to_string())?;
            }
            prepared.encode(&mut encoder).map_err(|e| e.to_string())?;
            for m in &self.made {
                encoder.copy_buffer_to_buffer(&m.during, 0, &kept, at, m.bytes);
                at += m.bytes;
            }
        }
        self.gpu.queue().submit([encoder.finish()]);
        let bytes = read(self.gpu, &kept);
        let mut bytes = &bytes[..];
        let mut outputs = || {
            let mut outputs = Tensors::new();
            for Made { operand: o, bytes: size, .. } in &self.made {
                let (own, rest) = bytes.split_at(usize::try_from(*size).map_err(|e| e.to_string())?);
                let exact = &own[..usize::try_from(o.bytes()).map_err(|e| e.to_string())?];
                outputs.insert(o.name, Tensor::from_bytes(o.dtype, o.dims.clone(), exact).map_err(|e| e.to_string())?);
                bytes = rest;
            }
            Ok(outputs)
        };
        (0..times).map(|_| outputs()).collect()
    }
}

/// Whether the outputs of a run are those of another, those without elements left out.
fn same(first: &Tensors, other: &Tensors) -> Result<(), String> {
    other.iter().try_for_each(|(name, t)| {
        let first: Tensors = [(name.to_string(), first[name].clone())].into_iter().collect();
        crate::compare::same_bits(&first, &[(name.to_string(), t.clone())].into_iter().collect())
    })
}

/// Runs a plan `each` times under every order and compares all with its first run, and that with an ordinary one. How many runs there were.
///
/// # Errors
/// The first difference, and where it was.
pub fn repeat<O: Op>(gpu: &Gpu, (op, inputs): (&O, &Tensors), plan: &Plan, each: u64) -> Result<u64, String> {
    let operands = op.operands();
    let repeats = Repeats::new(gpu, operands.clone(), inputs)?;
    let first = repeats.run(plan, 1)?.remove(0);
    let mut runs = 0;
    for (number, schedule) in schedules().iter().enumerate() {
        let Schedule { factor, shift, parts } = schedule;
        // the first order is that of the plan as it is shipped, itself
        let ordered = if number == 0 { plan.clone() } else { schedule.of(plan).0 };
        for (at, outputs) in repeats.run(&ordered, each)?.iter().enumerate() {
            let place =
                || format!("{} {}: run {at} of factor {factor:?}, shift {shift}, {parts} parts", O::NAME, op.label());
            same(&first, outputs).map_err(|e| format!("{}: {e}", place()))?;
            runs += 1;
        }
    }
    let ran = gpu.run_plan(plan, &operands, inputs, &RunOptions::default()).map_err(|e| e.to_string())?;
    same(&ran.outputs, &first).map_err(|e| format!("{} {}: an ordinary run: {e}", O::NAME, op.label()))?;
    Ok(runs)
}

/// What of a plan is to be seen in some representative: its kernels, and the slots by which families of one op differ.
fn features(plan: &Plan) -> BTreeSet<String> {
    const SLOTS: [&str; 6] = ["/row/", "/share/", "/weight/", "/keys/", "/rows/", "/reweight/"];
    let slots = plan.steps.iter().flat_map(|s| &s.slots).filter(|s| SLOTS.iter().any(|w| s.path.contains(w)));
    let kernels = plan.steps.iter().map(|s| &s.kernel);
    kernels.chain(slots).map(|s| s.path.to_string()).collect()
}

/// Whether a plan is small enough, and has something to permute. `more`: for ops all of whose plans are long, or of one workgroup.
fn is_small<O: Kernels>(case: &Case<O>, plan: &Plan, more: bool) -> bool {
    let factor = if more { 8 } else { 1 };
    let dispatches = || plan.steps.iter().flat_map(|s| &s.dispatches);
    let groups: u64 = dispatches().map(|d| d.grid.iter().map(|&g| u64::from(g)).product::<u64>()).sum();
    let wgsl = || plan.steps.iter().map(|s| expand(s).map_or(0, |text| text.len())).sum::<usize>();
    case.op.cost().flops <= MAX_FLOPS * factor as f64
        && groups <= MAX_GROUPS
        && (more || groups > 2 * plan.steps.len() as u64)
        && (1..=MAX_DISPATCHES * factor).contains(&dispatches().count())
        && wgsl() <= MAX_WGSL * factor
}

/// Small cases of an op, at most `most`, that between them have what its plans are made of; each adds something to those before it.
pub fn representatives<O: Reference + Kernels>(gpu: &Gpu, most: usize) -> Vec<(Case<O>, Plan)> {
    let (mut seen, mut found): (BTreeSet<String>, Vec<_>) = (BTreeSet::new(), Vec::new());
    let seeds = |more| (0..O::PLANNED + 150).map(move |seed| (seed, more));
    for (seed, more) in seeds(false).chain(seeds(true)) {
        if found.len() >= most || (more && !found.is_empty()) {
            break;
        }
        let case = O::case(seed);
        let Ok(plan) = case.op.plan(gpu.limits()) else { continue };
        let own = features(&plan);
        if own.is_subset(&seen) || !is_small(&case, &plan, more) {
            continue;
        }
        seen.extend(own);
        found.push((case, plan));
    }
    found
}
