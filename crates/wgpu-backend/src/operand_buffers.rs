//! The caller's buffers: which operand lies where, and whether a plan can use it there.

use gatefold_core::{Operand, Role};
use gatefold_shaders::Plan;

use crate::bindings::Place;
use crate::prepare::Linked;
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
    /// The checked ranges of the caller's buffers. Operands without elements are left out.
    pub(crate) fn places(
        &self,
        plan: &Plan,
        operands: &[Operand],
        bindings: &Bindings,
        linked: &Linked<'_>,
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
            if linked.binds(operand.name) {
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
