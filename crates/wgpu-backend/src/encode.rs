//! Recording a plan into the caller's command encoder, over the caller's buffers: once, or prepared and then as often as needed.

use std::sync::Arc;

use gatefold_core::{Operand, Role};
use gatefold_shaders::{Plan, Scratch};

use crate::bindings::{Job, Place};
use crate::buffers::scratch;
use crate::device::Handle;
use crate::operand_buffers::Bindings;
use crate::pipelines::contract;
use crate::prepare::Linked;
use crate::{Gpu, RunError};

/// A range that is copied before the first dispatch.
#[derive(Debug)]
struct Copied {
    from: (wgpu::Buffer, u64),
    to: (wgpu::Buffer, u64),
    bytes: u64,
}

/// A plan over the caller's buffers, ready to be recorded: checked, with its pipelines, bind groups, parameters and scratch.
///
/// [`encode`](Self::encode) makes the calls to wgpu that the dispatches need, and nothing else: no allocation, no check, no upload. All
/// recordings share one scratch, which is no hazard, as commands of one queue run in order. Independent of the [`Gpu`]'s lifetime; holds
/// on to the caller's buffers.
#[derive(Debug)]
pub struct Prepared {
    handle: Arc<Handle>,
    op: &'static str,
    copies: Vec<Copied>,
    jobs: Vec<Job>,
    /// Outputs of a plan without steps: `(buffer, first byte, bytes)`.
    cleared: Vec<(wgpu::Buffer, u64, u64)>,
    scratch_bytes: u64,
}

impl Prepared {
    /// Records the plan and submits nothing: the caller does, on the same device's queue. What is wrong with the encoder itself, such as
    /// an open pass, wgpu reports when it is finished.
    ///
    /// # Errors
    /// [`RunError::DeviceLost`] if the device is known to be lost.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<(), RunError> {
        let mut recorder = self.handle.record_into(self.op, encoder)?;
        for Copied { from, to, bytes } in &self.copies {
            recorder.copy((&from.0, from.1), (&to.0, to.1), *bytes);
        }
        for (buffer, offset, bytes) in &self.cleared {
            recorder.clear(buffer, *offset, *bytes);
        }
        if !self.jobs.is_empty() {
            recorder.pass(self.op, None, &self.jobs);
        }
        Ok(())
    }

    /// Dispatches of one recording.
    pub fn dispatches(&self) -> usize {
        self.jobs.len()
    }

    /// Bytes of scratch that this holds.
    pub fn scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }
}

/// The copies of the packed operands into their scratch.
fn copies(plan: &Plan, places: &[Place]) -> Result<Vec<Copied>, RunError> {
    let find = |name: &str| places.iter().find(|place| place.name == name);
    let mut copies = Vec::with_capacity(plan.packed.len());
    for p in &plan.packed {
        let (Some(from), Some(to)) = (find(p.operand), find(p.scratch)) else {
            return Err(contract(plan.op, format!("{} packed in {}: no such names", p.operand, p.scratch)));
        };
        let bytes = p.bytes.min(from.bytes);
        let (from, to) = ((from.buffer.clone(), from.offset), (to.buffer.clone(), to.offset + p.offset));
        copies.push(Copied { from, to, bytes });
    }
    Ok(copies)
}

impl Gpu {
    /// Prepares a plan over the caller's buffers, to be recorded with [`Prepared::encode`]. Blocks while pipelines are built.
    ///
    /// Buffers need usage STORAGE; operands of [`Plan::packed`] need COPY_SRC; outputs of a plan without steps need COPY_DST, as they are
    /// cleared (an operand updated in place stays as it is). The caller's integer inputs (lengths, offsets) are not seen by the host and so not checked; kernels clamp what they read.
    ///
    /// # Errors
    /// [`RunError::Binding`] for a buffer that is absent, too small, or of the wrong usage or offset; those of building pipelines and
    /// allocating scratch.
    pub fn prepare(&self, plan: &Plan, operands: &[Operand], bindings: &Bindings) -> Result<Prepared, RunError> {
        pollster::block_on(self.prepare_async(plan, operands, bindings))
    }

    /// Prepares a plan over the caller's buffers.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn prepare_async(
        &self,
        plan: &Plan,
        operands: &[Operand],
        bindings: &Bindings,
    ) -> Result<Prepared, RunError> {
        let handle = self.handle();
        handle.begin(plan.op)?;
        let linked = Linked::new(handle, self.pipelines(), plan).await?;
        let mut places = self.places(plan, operands, bindings, &linked)?;
        let mut made = Prepared {
            handle: Arc::clone(handle),
            op: plan.op,
            copies: Vec::new(),
            jobs: Vec::new(),
            cleared: Vec::new(),
            scratch_bytes: 0,
        };
        if plan.steps.is_empty() {
            let written = |name: &str| operands.iter().any(|o| o.role == Role::Output && o.name == name);
            let outputs = places.into_iter().filter(|p| written(&p.name) && p.bytes > 0);
            made.cleared = outputs.map(|p| (p.buffer, p.offset, p.bytes)).collect();
            return Ok(made);
        }
        // A zero-sized operand needs no buffer of the caller's, but its kernel binds one.
        let empty = operands.iter().filter(|o| o.is_empty()).map(|o| Scratch { name: o.name, bytes: 0 });
        let own: Vec<_> = plan.scratch.iter().cloned().chain(empty).collect();
        let scratch = scratch(handle, &own, self.limits().binding_bytes).await?;
        made.scratch_bytes = scratch.iter().map(|p| p.buffer.size()).sum();
        places.extend(scratch);
        made.copies = copies(plan, &places)?;
        (made.jobs, _) = linked.jobs(handle, &places).await?;
        Ok(made)
    }

    /// Records a plan into `encoder` once: [`prepare`](Self::prepare), then [`Prepared::encode`]. Scratch and parameters belong to the
    /// recorded commands.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn encode(
        &self,
        plan: &Plan,
        operands: &[Operand],
        encoder: &mut wgpu::CommandEncoder,
        bindings: &Bindings,
    ) -> Result<(), RunError> {
        self.prepare(plan, operands, bindings)?.encode(encoder)
    }

    /// Records a plan into `encoder` once.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub async fn encode_async(
        &self,
        plan: &Plan,
        operands: &[Operand],
        encoder: &mut wgpu::CommandEncoder,
        bindings: &Bindings,
    ) -> Result<(), RunError> {
        self.prepare_async(plan, operands, bindings).await?.encode(encoder)
    }
}
