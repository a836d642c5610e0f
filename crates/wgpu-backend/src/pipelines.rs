//! Pipelines by variant: linked and compiled once per device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gatefold_shaders::link::{Module, link};
use gatefold_shaders::{LinkError, Source, Step};

use crate::RunError;
use crate::bindings::{BindingKind, Bound, Field};
use crate::device::{Call, Handle};
use crate::signal::lock;
use crate::watch::Clock;

/// Everything that the text of a step is made of. Two steps with equal keys have the same text; equality of names alone is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: String,
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
            name: step.name.clone(),
            kernel: step.kernel,
            slots: step.slots.clone(),
            consts: step.consts.clone(),
            aliases: step.aliases.clone(),
            f16: step.f16,
            subgroups: step.subgroups,
            matrix: step.matrix,
        }
    }
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

/// Pipelines of one device, failures included.
#[derive(Debug, Default)]
pub(crate) struct Pipelines(Mutex<HashMap<Key, Result<Arc<Built>, RunError>>>);

impl Pipelines {
    /// The step's pipeline, and the seconds this call spent on building it (0 if it was there).
    pub(crate) async fn get(&self, handle: &Handle, step: &Step) -> Result<(Arc<Built>, f64), RunError> {
        let key = Key::of(step);
        if let Some(known) = lock(&self.0).get(&key) {
            return known.clone().map(|built| (built, 0.0));
        }
        let built = build(handle, step).await.map(Arc::new);
        // What is wrong with the text stays wrong; a full or lost device says nothing about the text.
        if matches!(built, Ok(_) | Err(RunError::Link(_) | RunError::PipelineBuild { .. })) {
            lock(&self.0).insert(key, built.clone());
        }
        built.map(|b| {
            let seconds = b.seconds;
            (b, seconds)
        })
    }

    /// Variant names and the seconds each took to build, by name.
    pub(crate) fn seconds(&self) -> Vec<(String, f64)> {
        let mut all: Vec<_> = lock(&self.0).values().flatten().map(|b| (b.name.clone(), b.seconds)).collect();
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

/// Links and compiles. The module keeps wgpu's full runtime checks, and workgroup memory is zeroed.
async fn build(handle: &Handle, step: &Step) -> Result<Built, RunError> {
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
        let source = wgpu::ShaderSource::Wgsl(text.as_str().into());
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(name), source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: true,
                ..Default::default()
            },
            cache: None,
        });
        (layout, pipeline)
    });
    let (layout, pipeline) = compiled.await.map_err(|e| verdict(step, e))?;
    let params = module.params.iter().map(Field::of).collect();
    let (name, params_bytes) = (step.name.clone(), module.params_bytes);
    Ok(Built { name, bindings, params, params_bytes, layout, pipeline, seconds: clock.elapsed().as_secs_f64() })
}
