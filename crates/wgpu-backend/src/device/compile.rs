//! Making what kernels run with: pipelines, bind groups, sets of timestamps, the driver's cache.

use super::{Call, Handle, Site};
use crate::RunError;
use crate::bindings::{BindingKind, Bound};

/// A variant to be compiled.
pub(crate) struct Variant<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) bindings: &'a [Bound],
    pub(crate) params_bytes: u32,
    /// Whether wgpu's runtime checks stay and workgroup memory is zeroed.
    pub(crate) checked: bool,
    pub(crate) cache: Option<&'a wgpu::PipelineCache>,
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

impl Handle {
    /// One call on the way to a pipeline. What validation and the driver say is the compiler's verdict on this variant; a planned fault
    /// is none.
    async fn build<T>(&self, site: Site, name: &str, f: impl FnOnce() -> T) -> Result<T, RunError> {
        let call = Call::new(site, name);
        self.enter(&call)?;
        self.entered(call, f).await.map_err(|error| match error {
            RunError::Validation { message, .. } | RunError::Internal { message, .. } => {
                RunError::PipelineBuild { variant: name.into(), message }
            }
            other => other,
        })
    }

    /// Compiles a variant.
    pub(crate) async fn compile(
        &self,
        variant: &Variant<'_>,
    ) -> Result<(wgpu::BindGroupLayout, wgpu::ComputePipeline), RunError> {
        let Variant { name, text, params_bytes, checked, cache, .. } = *variant;
        let device = &self.device;
        let entries: Vec<_> = variant.bindings.iter().map(|b| layout_entry(b, params_bytes)).collect();
        let laid_out = self.build(Site::Layout, name, || {
            let descriptor = wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries };
            let layout = device.create_bind_group_layout(&descriptor);
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            (layout, pipeline_layout)
        });
        let (layout, pipeline_layout) = laid_out.await?;
        let shader = self.build(Site::Shader, name, || shader_module(device, name, text, checked)).await?;
        let descriptor = wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: checked,
                ..Default::default()
            },
            cache,
        };
        let pipeline = self.build(Site::Pipeline, name, || device.create_compute_pipeline(&descriptor)).await?;
        Ok((layout, pipeline))
    }

    /// A bind group of a variant.
    pub(crate) async fn bind(
        &self,
        name: &str,
        layout: &wgpu::BindGroupLayout,
        entries: &[wgpu::BindGroupEntry<'_>],
    ) -> Result<wgpu::BindGroup, RunError> {
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout, entries };
        self.call(Call::new(Site::Bind, name), || self.device.create_bind_group(&descriptor)).await
    }

    /// A set of that many timestamps, and nanoseconds per tick.
    pub(crate) async fn timestamps(&self, name: &str, count: u32) -> Result<(wgpu::QuerySet, f32), RunError> {
        let descriptor = wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: wgpu::QueryType::Timestamp, count };
        let made = self.call(Call::new(Site::Times, name), || self.device.create_query_set(&descriptor)).await?;
        Ok((made, self.queue.get_timestamp_period()))
    }

    /// The driver's cache of pipelines from `data`, which [`cached`] once gave.
    ///
    /// # Safety
    /// `data` is what [`cached`] gave for this adapter, driver and version of this crate.
    #[allow(unsafe_code, reason = "wgpu cannot prove where the bytes come from")]
    pub(crate) async unsafe fn open_cache(&self, data: Option<&[u8]>) -> Result<wgpu::PipelineCache, RunError> {
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("gatefold"), data, fallback: true };
        let made = self.call(Call::new(Site::Cache, "the driver's cache"), || {
            // SAFETY: the caller's promise. wgpu and the driver compare their own headers after that.
            unsafe { self.device.create_pipeline_cache(&descriptor) }
        });
        made.await
    }
}

/// The bytes of the driver's cache, to be kept.
pub(crate) fn cached(cache: &wgpu::PipelineCache) -> Option<Vec<u8>> {
    cache.get_data()
}
