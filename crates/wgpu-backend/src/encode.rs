//! Recording a plan into the caller's command encoder, over the caller's buffers.

use gatefold_core::{Operand, Role};
use gatefold_shaders::Plan;

use crate::bindings::Place;
use crate::buffers::scratch;
use crate::device::Call;
use crate::pipelines::contract;
use crate::prepare::Prepared;
use crate::{Gpu, RunError};

/// The caller's buffers by operand name.
#[derive(Debug, Clone, Default)]
pub struct Bindings(Vec<(String, wgpu::Buffer, u64)>);

impl Bindings {
    /// No buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operand's buffer. Its elements begin at byte `offset`, contiguous and row-major.
    #[must_use]
    pub fn bind(mut self, operand: impl Into<String>, buffer: &wgpu::Buffer, offset: u64) -> Self {
        self.0.push((operand.into(), buffer.clone(), offset));
        self
    }

    fn get(&self, operand: &str) -> Option<(&wgpu::Buffer, u64)> {
        self.0.iter().find(|(name, ..)| name == operand).map(|(_, buffer, offset)| (buffer, *offset))
    }
}

/// How an operand's buffer is used.
struct Need {
    usage: wgpu::BufferUsages,
    alignment: u64,
}

fn wrong(operand: &str, expected: String, given: String) -> RunError {
    RunError::Binding { operand: operand.into(), expected, given }
}

/// Checks one buffer: usage, alignment of the offset, size.
fn check(operand: &Operand, buffer: &wgpu::Buffer, offset: u64, need: &Need) -> Result<Place, RunError> {
    let name = operand.name;
    if !buffer.usage().contains(need.usage) {
        return Err(wrong(name, format!("a buffer with usage {:?}", need.usage), format!("{:?}", buffer.usage())));
    }
    if !offset.is_multiple_of(need.alignment) {
        return Err(wrong(name, format!("an offset that is a multiple of {}", need.alignment), format!("{offset}")));
    }
    let bytes = operand.bytes().next_multiple_of(4);
    let end = offset.saturating_add(bytes);
    if end > buffer.size() {
        let given = format!("a buffer of {} bytes", buffer.size());
        return Err(wrong(name, format!("{bytes} bytes at offset {offset}"), given));
    }
    // Up to one vec4 may be bound beyond a very small operand, as far as the buffer reaches.
    let bound = bytes.max(16).min((buffer.size() - offset) & !3);
    let read_only = operand.role == Role::Input;
    Ok(Place { name: name.into(), buffer: buffer.clone(), offset, bound, bytes, read_only })
}

/// An output must not lie in a buffer that is also read, nor overlap another output.
fn check_overlap(places: &[Place]) -> Result<(), RunError> {
    for (index, output) in places.iter().enumerate().filter(|(_, p)| !p.read_only) {
        for (other_index, other) in places.iter().enumerate() {
            if index == other_index || other.buffer != output.buffer {
                continue;
            }
            let apart = output.offset + output.bytes <= other.offset || other.offset + other.bytes <= output.offset;
            if other.read_only || !apart {
                let given = format!("the buffer of {} at offset {}", other.name, other.offset);
                return Err(wrong(&output.name, "a buffer that no input and no overlapping output uses".into(), given));
            }
        }
    }
    Ok(())
}

impl Gpu {
    /// Records a plan into `encoder` and submits nothing: the caller does, on the same device's queue. Scratch and parameters belong to
    /// the recorded commands. Buffers need usage STORAGE; operands of [`Plan::packed`] need COPY_SRC; outputs of a plan without steps
    /// need COPY_DST, as they are cleared. Blocks while pipelines are built.
    ///
    /// The caller's integer inputs (lengths, offsets) are not seen by the host and so not checked; kernels clamp what they read.
    ///
    /// # Errors
    /// [`RunError::Binding`] for a buffer that is absent, too small, or of the wrong usage or offset; those of building pipelines and
    /// allocating scratch.
    pub fn encode(
        &self,
        plan: &Plan,
        operands: &[Operand],
        encoder: &mut wgpu::CommandEncoder,
        bindings: &Bindings,
    ) -> Result<(), RunError> {
        pollster::block_on(self.encode_async(plan, operands, encoder, bindings))
    }

    /// Records a plan into `encoder`.
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
        let handle = self.handle();
        handle.look(&Call::new("encoding", plan.op))?;
        let prepared = Prepared::new(handle, self.pipelines(), plan).await?;
        let mut places = self.places(plan, operands, bindings, &prepared)?;
        if plan.steps.is_empty() {
            for p in places.iter().filter(|p| !p.read_only && p.bytes > 0) {
                encoder.clear_buffer(&p.buffer, p.offset, Some(p.bytes));
            }
            return Ok(());
        }
        let limits = self.limits();
        // A zero-sized operand needs no buffer of the caller's, but its kernel binds one.
        let empty: Vec<_> = operands
            .iter()
            .filter(|o| o.is_empty())
            .map(|o| gatefold_shaders::Scratch { name: o.name, bytes: 0 })
            .collect();
        let own = Plan { scratch: plan.scratch.iter().cloned().chain(empty).collect(), ..Plan::default() };
        places.extend(scratch(handle, &own, limits.binding_bytes).await?);
        let jobs = prepared.jobs(handle, &places).await?;
        let recording = handle.call(Call::new("encoding", plan.op), || {
            for p in &plan.packed {
                let find = |name: &str| places.iter().find(|place| place.name == name);
                let (Some(from), Some(to)) = (find(p.operand), find(p.scratch)) else {
                    return Err(contract(plan.op, format!("{} packed in {}: no such names", p.operand, p.scratch)));
                };
                let bytes = p.bytes.min(from.bytes);
                encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset + p.offset, bytes);
            }
            let mut pass = encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(plan.op), timestamp_writes: None });
            jobs.iter().for_each(|job| job.record(&mut pass));
            Ok(())
        });
        recording.await?
    }

    /// The checked ranges of the caller's buffers. Operands without elements are left out.
    fn places(
        &self,
        plan: &Plan,
        operands: &[Operand],
        bindings: &Bindings,
        prepared: &Prepared<'_>,
    ) -> Result<Vec<Place>, RunError> {
        if let Some((name, ..)) = bindings.0.iter().find(|(name, ..)| operands.iter().all(|o| o.name != *name)) {
            let names = operands.iter().map(|o| o.name).collect::<Vec<_>>().join(", ");
            return Err(wrong(name, format!("one of {names}"), "a name that the op does not have".into()));
        }
        let mut places = Vec::with_capacity(operands.len() + plan.scratch.len());
        for operand in operands {
            if operand.is_empty() {
                continue;
            }
            let Some((buffer, offset)) = bindings.get(operand.name) else {
                let expected = format!("a buffer of {} bytes", operand.bytes());
                return Err(wrong(operand.name, expected, "none".into()));
            };
            let mut need = Need { usage: wgpu::BufferUsages::empty(), alignment: 4 };
            if prepared.binds(operand.name) {
                need.usage |= wgpu::BufferUsages::STORAGE;
                need.alignment = self.limits().offset_alignment;
            }
            if plan.packed.iter().any(|p| p.operand == operand.name) {
                need.usage |= wgpu::BufferUsages::COPY_SRC;
            }
            if plan.steps.is_empty() && operand.role == Role::Output {
                need.usage |= wgpu::BufferUsages::COPY_DST;
            }
            places.push(check(operand, buffer, offset, &need)?);
        }
        check_overlap(&places)?;
        Ok(places)
    }
}
