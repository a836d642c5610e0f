//! From a plan to dispatches: pipelines, parameters, bind groups.

use std::sync::Arc;

use gatefold_shaders::{Plan, Step};

use crate::RunError;
use crate::bindings::{Job, Place, all_params, entries};
use crate::device::Handle;
use crate::pipelines::{Built, Pipelines};

/// A plan with its pipelines.
pub(crate) struct Linked<'a> {
    steps: Vec<(&'a Step, Arc<Built>)>,
    /// Seconds this call spent on building pipelines.
    pub(crate) compile_seconds: f64,
}

impl<'a> Linked<'a> {
    /// Links and compiles what is not there yet.
    pub(crate) async fn new(handle: &Handle, pipelines: &Pipelines, plan: &'a Plan) -> Result<Self, RunError> {
        let (mut steps, mut compile_seconds) = (Vec::with_capacity(plan.steps.len()), 0.0);
        for (n, step) in plan.steps.iter().enumerate() {
            let (built, seconds) = pipelines.get(handle, step, plan.safety.get(n)).await?;
            compile_seconds += seconds;
            steps.push((step, built));
        }
        Ok(Self { steps, compile_seconds })
    }

    /// Whether some kernel binds that name.
    pub(crate) fn binds(&self, name: &str) -> bool {
        self.steps.iter().any(|(step, built)| built.bindings.iter().any(|b| step.operand_of(&b.name) == name))
    }

    /// Uploads the parameters and makes the bind groups. Dispatches with an empty grid are left out.
    /// Returns the dispatches and the buffer of their parameters.
    pub(crate) async fn jobs(
        &self,
        handle: &Handle,
        places: &[Place],
    ) -> Result<(Vec<Job>, Option<wgpu::Buffer>), RunError> {
        let limits = handle.limits();
        let alignment = u64::from(limits.min_uniform_buffer_offset_alignment.max(256));
        let (bytes, offsets) = all_params(&self.steps, alignment)?;
        let uniform = if bytes.is_empty() {
            None
        } else {
            // COPY_SRC: a test looks for what a session leaves in it.
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            let buffer = handle.buffer("params", bytes.len() as u64, usage).await?;
            handle.write("params", &buffer, 0, &bytes).await?;
            Some(buffer)
        };
        let mut offsets = offsets.into_iter();
        let mut jobs: Vec<Job> = Vec::with_capacity(offsets.len());
        for (index, (step, built)) in self.steps.iter().enumerate() {
            let mut last = None;
            for dispatch in step.dispatches.iter().filter(|d| !d.grid.contains(&0)) {
                // The uniform moves by its offset, so dispatches over the same ranges share a bind group.
                let group = match (last, jobs.last()) {
                    (Some(windows), Some(job)) if windows == &dispatch.windows => job.group.clone(),
                    _ => {
                        let entries = entries(step, built, dispatch, places, uniform.as_ref())?;
                        handle.bind(&built.name, &built.layout, &entries).await?
                    }
                };
                last = Some(&dispatch.windows);
                let offset = offsets.next().and_then(|o| u32::try_from(o).ok());
                let params = if built.params_bytes == 0 { None } else { offset };
                jobs.push(Job { step: index, pipeline: built.pipeline.clone(), group, params, grid: dispatch.grid });
            }
        }
        Ok((jobs, uniform))
    }
}
