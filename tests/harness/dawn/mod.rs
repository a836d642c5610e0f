//! Another implementation of WebGPU: Dawn with its compiler Tint, in a node process of its own that this module talks to.
//!
//! The same plans, the same buffers with guard zones and poison, the same comparison as on wgpu; how a plan becomes bindings and
//! dispatches is written anew here (`jobs.rs`), so the contract between plan and kernel is read by two programs.

mod jobs;
mod process;

use std::cell::RefCell;
use std::collections::HashMap;
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use gatefold_core::{Operand, Tensors};
use gatefold_shaders::link::link;
use gatefold_shaders::reflect::BindingKind;
use gatefold_shaders::{DeviceKind, Limits, Plan, Step};
use gatefold_wgpu::{AdapterKind, AdapterSummary, Probe, Ran, RunError, RunOptions, Runner, StepClock, probe_on};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::executor::Executor;
use jobs::{Built, Layout};
use process::Process;

/// Workgroups that keep a software driver's cores busy, as for wgpu.
const CPU_BUSY_GROUPS: u64 = 16;

/// Trips to count on until the probe has looked.
const SAFE_TRIPS: u64 = 65_000;

/// What Dawn says about the adapter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    vendor: String,
    architecture: String,
    model: String,
    description: String,
    subgroup_min_size: u32,
    subgroup_max_size: u32,
    is_fallback_adapter: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceLimits {
    max_compute_workgroup_storage_size: u32,
    max_compute_invocations_per_workgroup: u32,
    max_compute_workgroup_size_x: u32,
    max_storage_buffers_per_shader_stage: u32,
    max_compute_workgroups_per_dimension: u32,
    max_storage_buffer_binding_size: u64,
    max_buffer_size: u64,
    min_storage_buffer_offset_alignment: u64,
}

/// The reply to `open`.
#[derive(Debug, Deserialize)]
struct Opened {
    info: Info,
    limits: DeviceLimits,
    features: Vec<String>,
}

impl Opened {
    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|f| f == feature)
    }

    fn kind(&self) -> AdapterKind {
        let Info { architecture, is_fallback_adapter, .. } = &self.info;
        let software = *is_fallback_adapter || ["swiftshader", "software"].contains(&architecture.as_str());
        if software { AdapterKind::Cpu } else { AdapterKind::Other }
    }

    fn summary(&self) -> AdapterSummary {
        let Info { vendor, architecture, model, description, subgroup_min_size, subgroup_max_size, .. } = &self.info;
        let subgroup = (*subgroup_min_size, *subgroup_max_size);
        AdapterSummary {
            index: 0,
            name: format!("{vendor} {architecture} {model}"),
            driver: "Dawn on".into(),
            driver_info: description.clone(),
            backend: "webgpu".into(),
            kind: self.kind(),
            f16: self.has("shader-f16"),
            subgroup: self.has("subgroups").then_some(subgroup),
            timestamps: false,
        }
    }

    /// Limits as the planner sees them, before anything is measured.
    fn limits(&self) -> Limits {
        let (given, defaults) = (&self.limits, Limits::webgpu_default());
        let Info { subgroup_min_size: least, subgroup_max_size: most, .. } = self.info;
        let kind = if self.kind() == AdapterKind::Cpu { DeviceKind::Cpu } else { DeviceKind::Gpu };
        Limits {
            kind,
            busy_groups: if kind == DeviceKind::Cpu { CPU_BUSY_GROUPS } else { defaults.busy_groups },
            workgroup_memory: given.max_compute_workgroup_storage_size,
            invocations: given.max_compute_invocations_per_workgroup,
            workgroup_size_x: given.max_compute_workgroup_size_x,
            storage_buffers: given.max_storage_buffers_per_shader_stage,
            groups_per_dim: given.max_compute_workgroups_per_dimension,
            binding_bytes: given.max_storage_buffer_binding_size,
            buffer_bytes: given.max_buffer_size,
            offset_alignment: given.min_storage_buffer_offset_alignment,
            f16: self.has("shader-f16"),
            // Only one size can be relied on.
            subgroup: (self.has("subgroups") && least == most && least > 1).then_some(least),
            wave: if (2..=32).contains(&least) { 32 } else { defaults.wave },
            loop_trips: SAFE_TRIPS,
            ..defaults
        }
    }
}

/// A step that Dawn has been asked to compile.
struct Known {
    step: Step,
    built: Result<Rc<Built>, RunError>,
}

/// A node process with a device of Dawn's.
struct Side {
    process: RefCell<Process>,
    known: RefCell<HashMap<String, Vec<Known>>>,
}

/// What a plan runs on where every step is proven: as on wgpu, its workgroup memory is found as it is. The stores that clear it take
/// software drivers most of the time of compiling.
const PROVEN: &str = "enable-dawn-features=disable_workgroup_init";

/// Dawn, with two devices of one adapter.
pub struct Dawn {
    careful: Side,
    proven: Side,
    checked: bool,
    info: AdapterSummary,
    limits: Limits,
    probe: Probe,
}

impl Dawn {
    /// Starts node by `start`, which gives a command that runs the executor, opens the best adapter that it sees, and probes it as wgpu's
    /// are probed. `checked`: steps that are proven get no other treatment.
    ///
    /// # Errors
    /// [`RunError::NoAdapter`] if Dawn accepts none, [`RunError::OpenDevice`] if the process does not start, [`RunError::AdapterUnfit`]
    /// if results cannot be trusted.
    pub fn open(start: impl Fn() -> Command, checked: bool) -> Result<Self, RunError> {
        let (careful, opened) = Side::open(&mut start())?;
        let (proven, _) = Side::open(start().arg(PROVEN))?;
        let (info, limits) = (opened.summary(), opened.limits());
        let mut dawn = Self { careful, proven, checked, info, limits, probe: Probe::default() };
        let probe = probe_on(&dawn)?;
        if let Some(reason) = probe.unfit() {
            return Err(RunError::AdapterUnfit { adapter: dawn.info.name, reason });
        }
        probe.apply_to(&mut dawn.limits, None);
        dawn.probe = probe;
        Ok(dawn)
    }

    /// The device for a plan.
    fn side(&self, plan: &Plan) -> &Side {
        if !self.checked && plan.steps.iter().all(|s| s.proven) { &self.proven } else { &self.careful }
    }
}

impl Side {
    fn open(node: &mut Command) -> Result<(Self, Opened), RunError> {
        let mut process = Process::start(node)?;
        let (reply, _) = process.ask(&json!({ "ask": "open" }), &[])?;
        let opened = serde_json::from_value(reply)
            .map_err(|e| RunError::OpenDevice { adapter: "Dawn".into(), message: format!("an odd reply: {e}") })?;
        Ok((Self { process: RefCell::new(process), known: RefCell::default() }, opened))
    }

    /// The step as Dawn has it; compiled once.
    fn built(&self, step: &Step) -> Result<Rc<Built>, RunError> {
        let text =
            |s: &Step| Step { dispatches: Vec::new(), trips: 0, loops: Vec::new(), binds: Vec::new(), ..s.clone() };
        let mut known = self.known.borrow_mut();
        let id = known.values().map(Vec::len).sum();
        let same_name = known.entry(step.name.clone()).or_default();
        let fits = |k: &&Known| {
            let s = &k.step;
            (s.kernel, &s.slots, &s.consts, &s.aliases) == (step.kernel, &step.slots, &step.consts, &step.aliases)
                && (s.f16, s.subgroups, s.matrix) == (step.f16, step.subgroups, step.matrix)
        };
        if let Some(found) = same_name.iter().find(fits) {
            return found.built.clone();
        }
        let built = self.build(id, step).map(Rc::new);
        same_name.push(Known { step: text(step), built: built.clone() });
        built
    }

    fn build(&self, id: usize, step: &Step) -> Result<Built, RunError> {
        let module = link(step)?;
        let kind = |kind: BindingKind| match kind {
            BindingKind::Uniform => "uniform",
            BindingKind::ReadOnly => "read-only-storage",
            BindingKind::ReadWrite => "storage",
        };
        let entry = |b: &gatefold_shaders::reflect::Binding| {
            let least = if b.kind == BindingKind::Uniform { module.params_bytes } else { 0 };
            json!({ "binding": b.binding, "kind": kind(b.kind), "least": least })
        };
        let entries: Vec<Value> = module.bindings.iter().map(entry).collect();
        let text = module.text_for_browser();
        let request = json!({ "ask": "build", "id": id, "name": step.name, "text": text, "entries": entries });
        self.process.borrow_mut().ask(&request, &[])?;
        Ok(Built { id, bindings: module.bindings, params: module.params, params_bytes: module.params_bytes })
    }
}

impl Executor for Dawn {
    fn info(&self) -> &AdapterSummary {
        &self.info
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn probe(&self) -> &Probe {
        &self.probe
    }

    fn run_plan(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> Result<Ran, RunError> {
        let clock = Instant::now();
        let side = self.side(plan);
        let steps =
            plan.steps.iter().map(|step| Ok((step, side.built(step)?))).collect::<Result<Vec<_>, RunError>>()?;
        let compile_seconds = clock.elapsed().as_secs_f64();
        let layout = Layout::new(plan, &steps, operands, inputs, options, &self.limits)?;
        let (seconds, outputs, faults) = if steps.is_empty() {
            (0.0, layout.unchanged(operands, inputs)?, Vec::new())
        } else {
            let (jobs, uniform) = layout.jobs(&steps)?;
            let sizes: Vec<usize> = layout.slots.iter().map(|s| s.image.len()).collect();
            let request = json!({ "ask": "run", "sizes": sizes, "uniform": uniform.len(), "jobs": jobs });
            let images = layout.slots.iter().map(|s| s.image.as_slice()).chain([uniform.as_slice()]);
            let (reply, back) = side.process.borrow_mut().ask(&request, &images.collect::<Vec<_>>())?;
            let (outputs, faults) = layout.collect(&back, operands)?;
            (reply["seconds"].as_f64().unwrap_or(0.0), outputs, faults)
        };
        Ok(Ran {
            outputs,
            faults,
            step_seconds: options.timing.then(|| vec![seconds]),
            step_clock: StepClock::Host,
            wall_seconds: clock.elapsed().as_secs_f64(),
            compile_seconds,
        })
    }
}

impl Runner for Dawn {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn run(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> impl Future<Output = Result<Ran, RunError>> {
        std::future::ready(self.run_plan(plan, operands, inputs, options))
    }
}
