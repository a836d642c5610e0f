//! Pipelines by variant: linked and compiled once per device.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gatefold_core::Operand;
use gatefold_shaders::link::{Module, link};
use gatefold_shaders::scrub::scrubbed;
use gatefold_shaders::{LinkError, Plan, Safety, Source, Step, prove};

use crate::RunError;
use crate::bindings::{Bound, Field};
use crate::device::{Handle, Variant};
use crate::pipeline_cache::DiskCache;
use crate::signal::lock;
use crate::watch::Clock;

/// Everything that the text of a step is made of, beside its name. Two steps with equal keys have the same text; equality of names alone is
/// not trusted.
#[derive(Debug)]
struct Key {
    kernel: Source,
    slots: Vec<Source>,
    consts: Vec<(&'static str, u32)>,
    aliases: Vec<(&'static str, &'static str)>,
    f16: bool,
    subgroups: bool,
    matrix: bool,
}

impl Key {
    fn of(step: &Step) -> Self {
        Self {
            kernel: step.kernel,
            slots: step.slots.clone(),
            consts: step.consts.clone(),
            aliases: step.aliases.clone(),
            f16: step.f16,
            subgroups: step.subgroups,
            matrix: step.matrix,
        }
    }

    fn fits(&self, step: &Step) -> bool {
        let files = self.slots.len() == step.slots.len()
            && std::iter::once(&self.kernel)
                .chain(&self.slots)
                .zip(std::iter::once(&step.kernel).chain(&step.slots))
                .all(same);
        files
            && self.consts == step.consts
            && self.aliases == step.aliases
            && (self.f16, self.subgroups, self.matrix) == (step.f16, step.subgroups, step.matrix)
    }
}

/// Files are long and nearly always the same text in memory: that is looked at first.
fn same((a, b): (&Source, &Source)) -> bool {
    a.path == b.path && (std::ptr::eq(a.text, b.text) || a.text == b.text)
}

/// A compiled step.
#[derive(Debug)]
pub(crate) struct Built {
    /// Variant name.
    pub(crate) name: String,
    /// Buffers by name, as the entry point reaches them.
    pub(crate) bindings: Vec<Bound>,
    /// Members of `params`.
    pub(crate) params: Vec<Field>,
    /// Bytes of `params`; 0 if there are none.
    pub(crate) params_bytes: u32,
    pub(crate) layout: wgpu::BindGroupLayout,
    pub(crate) pipeline: wgpu::ComputePipeline,
    /// Seconds that linking and compiling took.
    seconds: f64,
}

#[derive(Debug)]
struct Known {
    key: Key,
    /// Whether it was compiled with runtime checks.
    checked: bool,
    built: Result<Arc<Built>, RunError>,
}

/// A module, and of which step.
type Linked = (Key, Arc<Module>);

/// Pipelines of one device by variant name, failures included.
#[derive(Debug)]
pub(crate) struct Pipelines {
    known: Mutex<HashMap<String, Vec<Known>>>,
    /// Modules by variant name, linked once for the prover and the compiler.
    modules: Mutex<HashMap<String, Vec<Linked>>>,
    /// Those of earlier processes.
    pub(crate) disk: Option<DiskCache>,
    /// Whether proven steps keep their runtime checks too: as the options ask, or as their self-test failed.
    checked: AtomicBool,
    /// Whether kernels overwrite their workgroup memory before they end.
    scrub: bool,
}

impl Pipelines {
    pub(crate) fn new(disk: Option<DiskCache>, checked: bool, scrub: bool) -> Self {
        Self { known: Mutex::default(), modules: Mutex::default(), disk, checked: AtomicBool::new(checked), scrub }
    }

    fn find(&self, step: &Step, checked: bool) -> Option<Result<Arc<Built>, RunError>> {
        let known = lock(&self.known);
        let mut like = known.get(&step.name)?.iter();
        like.find(|k| k.checked == checked && k.key.fits(step)).map(|k| k.built.clone())
    }

    /// The step's module: linked once.
    pub(crate) fn module(&self, step: &Step) -> Result<Arc<Module>, LinkError> {
        if let Some(of_name) = lock(&self.modules).get(&step.name)
            && let Some((_, module)) = of_name.iter().find(|(key, _)| key.fits(step))
        {
            return Ok(Arc::clone(module));
        }
        let module = Arc::new(link(step)?);
        lock(&self.modules).entry(step.name.clone()).or_default().push((Key::of(step), Arc::clone(&module)));
        Ok(module)
    }

    /// From now on every kernel keeps its runtime checks.
    pub(crate) fn keep_checks(&self) {
        self.checked.store(true, Ordering::Relaxed);
    }

    /// Whether every kernel keeps its runtime checks.
    pub(crate) fn is_checked(&self) -> bool {
        self.checked.load(Ordering::Relaxed)
    }

    /// Asks the prover about every step of a plan, unless all are to keep their checks anyway.
    pub(crate) fn settle(&self, plan: &mut Plan, operands: &[Operand]) {
        if !self.is_checked() {
            prove::settle(plan, operands, |step| self.module(step));
        }
    }

    /// The step's pipeline, and the seconds this call spent on building it (0 if it was there). Without runtime checks only by this verdict.
    pub(crate) async fn get(
        &self,
        handle: &Handle,
        step: &Step,
        verdict: Option<&Safety>,
    ) -> Result<(Arc<Built>, f64), RunError> {
        // What scrubs is not what was proven.
        let checked = self.is_checked() || self.scrub || !step.proven || verdict != Some(&Safety::Proven);
        if let Some(known) = self.find(step, checked) {
            return known.map(|built| (built, 0.0));
        }
        let built = match self.module(step) {
            Ok(module) => build(handle, &module, checked, self.scrub, self.disk.as_ref()).await.map(Arc::new),
            Err(error) => Err(error.into()),
        };
        // What is wrong with the text stays wrong; a full or lost device says nothing about the text.
        if matches!(built, Ok(_) | Err(RunError::Link(_) | RunError::PipelineBuild { .. })) {
            let known = Known { key: Key::of(step), checked, built: built.clone() };
            lock(&self.known).entry(step.name.clone()).or_default().push(known);
        }
        built.map(|b| {
            let seconds = b.seconds;
            (b, seconds)
        })
    }

    /// Variant names and the seconds each took to build, by name.
    pub(crate) fn seconds(&self) -> Vec<(String, f64)> {
        let known = lock(&self.known);
        let built = known.values().flatten().flat_map(|k| &k.built);
        let mut all: Vec<_> = built.map(|b| (b.name.clone(), b.seconds)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// A fault in the contract between plan and kernel.
pub(crate) fn contract(variant: &str, message: String) -> RunError {
    RunError::Link(LinkError::Contract { variant: variant.into(), message })
}

/// Compiles. A step that is not proven keeps wgpu's full runtime checks, and its workgroup memory is zeroed.
async fn build(
    handle: &Handle,
    module: &Module,
    checked: bool,
    scrub: bool,
    disk: Option<&DiskCache>,
) -> Result<Built, RunError> {
    let clock = Clock::start();
    let name = module.name.as_str();
    let bindings = Bound::of(name, module)?;
    let text = match () {
        () if scrub => scrubbed(module)?,
        () if cfg!(target_arch = "wasm32") => module.text_for_browser(),
        () => module.text.clone(),
    };
    let cache = disk.map(DiskCache::used);
    let variant = Variant { name, text: &text, bindings: &bindings, params_bytes: module.params_bytes, checked, cache };
    let (layout, pipeline) = handle.compile(&variant).await?;
    let params = module.params.iter().map(Field::of).collect();
    let (name, params_bytes) = (module.name.clone(), module.params_bytes);
    Ok(Built { name, bindings, params, params_bytes, layout, pipeline, seconds: clock.elapsed().as_secs_f64() })
}
