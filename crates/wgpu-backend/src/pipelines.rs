//! Pipelines by variant: linked and compiled once per device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gatefold_shaders::link::{Module, link};
use gatefold_shaders::{LinkError, Source, Step};

use crate::RunError;
use crate::bindings::{BindingKind, Bound, Field};
use crate::device::{Call, Handle};
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
    proven: bool,
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
            proven: step.proven,
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
            && (self.f16, self.subgroups, self.matrix, self.proven)
                == (step.f16, step.subgroups, step.matrix, step.proven)
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
    built: Result<Arc<Built>, RunError>,
}

/// Pipelines of one device by variant name, failures included.
#[derive(Debug)]
pub(crate) struct Pipelines {
    known: Mutex<HashMap<String, Vec<Known>>>,
    /// Those of earlier processes.
    pub(crate) disk: Option<DiskCache>,
    /// Whether proven steps keep their runtime checks too.
    checked: bool,
}

impl Pipelines {
    pub(crate) fn new(disk: Option<DiskCache>, checked: bool) -> Self {
        Self { known: Mutex::default(), disk, checked }
    }

    fn find(&self, step: &Step) -> Option<Result<Arc<Built>, RunError>> {
        let known = lock(&self.known);
        known.get(&step.name)?.iter().find(|k| k.key.fits(step)).map(|k| k.built.clone())
    }

    /// The step's pipeline, and the seconds this call spent on building it (0 if it was there).
    pub(crate) async fn get(&self, handle: &Handle, step: &Step) -> Result<(Arc<Built>, f64), RunError> {
        if let Some(known) = self.find(step) {
            return known.map(|built| (built, 0.0));
        }
        let built = build(handle, step, self.checked || !step.proven, self.disk.as_ref()).await.map(Arc::new);
        // What is wrong with the text stays wrong; a full or lost device says nothing about the text.
        if matches!(built, Ok(_) | Err(RunError::Link(_) | RunError::PipelineBuild { .. })) {
            let known = Known { key: Key::of(step), built: built.clone() };
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

/// Validation and internal errors while building are the compiler's verdict on this variant.
fn verdict(step: &Step, error: RunError) -> RunError {
    match error {
        RunError::Validation { message, .. } | RunError::Internal { message, .. } => {
            RunError::PipelineBuild { variant: step.name.clone(), message }
        }
        other => other,
    }
}

fn layout_entry(binding: &Bound, params_bytes: u32) -> wgpu::BindGroupLayoutEntry {
    let (ty, has_dynamic_offset, min_binding_size) = match binding.kind {
        BindingKind::Uniform => {
            (wgpu::BufferBindingType::Uniform, true, wgpu::BufferSize::new(u64::from(params_bytes)))
        }
        BindingKind::ReadOnly => (wgpu::BufferBindingType::Storage { read_only: true }, false, None),
        BindingKind::ReadWrite => (wgpu::BufferBindingType::Storage { read_only: false }, false, None),
    };
    wgpu::BindGroupLayoutEntry {
        binding: binding.index,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size },
        count: None,
    }
}

/// A module with wgpu's full runtime checks, or without any.
#[allow(unsafe_code, reason = "wgpu cannot prove what a kernel does; the plan says that it has")]
fn shader_module(device: &wgpu::Device, name: &str, text: &str, checked: bool) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
    if checked {
        return device.create_shader_module(descriptor);
    }
    // SAFETY: of a proven step every index and every loop's count of trips stays inside ranges that the plan has checked, whatever the
    // buffers hold (`Step::proven`), so there is nothing for the checks to catch.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// Links and compiles. A step that is not proven keeps wgpu's full runtime checks, and its workgroup memory is zeroed.
async fn build(handle: &Handle, step: &Step, checked: bool, disk: Option<&DiskCache>) -> Result<Built, RunError> {
    let clock = Clock::start();
    let name = step.name.as_str();
    let module: Module = link(step)?;
    let bindings = Bound::of(name, &module)?;
    let text = if cfg!(target_arch = "wasm32") { module.text_for_browser() } else { module.text };
    let entries: Vec<_> = bindings.iter().map(|b| layout_entry(b, module.params_bytes)).collect();
    let device = &handle.device;
    let call = Call::new("compiling", name);
    handle.enter(&call)?;
    let compiled = handle.entered(call, || {
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let shader = shader_module(device, name, &text, checked);
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: checked,
                ..Default::default()
            },
            cache: disk.map(DiskCache::used),
        });
        (layout, pipeline)
    });
    let (layout, pipeline) = compiled.await.map_err(|e| verdict(step, e))?;
    let params = module.params.iter().map(Field::of).collect();
    let (name, params_bytes) = (step.name.clone(), module.params_bytes);
    Ok(Built { name, bindings, params, params_bytes, layout, pipeline, seconds: clock.elapsed().as_secs_f64() })
}
