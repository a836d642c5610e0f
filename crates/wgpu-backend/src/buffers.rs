//! Buffers of one run: sizes, guard zones, poison, upload, and what must be unchanged afterwards.

use gatefold_core::{Operand, Role, Tensors};
use gatefold_shaders::{Packed, Plan, Scratch};

use crate::RunError;
use crate::bindings::Place;
use crate::device::Handle;
use crate::pipelines::contract;

/// Word in guard zones: a NaN as f32 and as the upper f16, so that a value read from there shows.
const GUARD_WORD: u32 = 0x7FA5_5AA5;

/// Least bytes of a binding: one `vec4<f32>`, so that an array of any element type can be bound to an empty operand.
const LEAST_BYTES: u64 = 16;

const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// How buffers of a run are laid out and filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    /// Bytes of guard zone on each side; 0 for none. A multiple of the offset alignment.
    pub(crate) guard: u64,
    /// Word that outputs and scratch are filled with first.
    pub(crate) poison: Option<u32>,
    /// Largest binding.
    pub(crate) binding_bytes: u64,
}

/// What a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Input,
    Output,
    Updated,
    Scratch,
}

impl Content {
    /// Whether the host wants it after the run.
    pub(crate) fn is_made(self) -> bool {
        matches!(self, Self::Output | Self::Updated)
    }
}

/// A buffer of a run: `[guard, contents padded to 4 bytes, guard]`.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// The contents rounded up to whole words.
fn padded(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.resize(data.len().next_multiple_of(4), 0);
    bytes
}

fn fill(bytes: &mut [u8], word: u32) {
    for chunk in bytes.chunks_mut(4) {
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
}

impl Slot {
    async fn allocate(
        handle: &Handle,
        name: &str,
        bytes: u64,
        content: Content,
        filling: &Filling,
    ) -> Result<Self, RunError> {
        let bytes = bytes.next_multiple_of(4);
        let inner = bytes.max(LEAST_BYTES);
        let more = match content {
            Content::Input => handle.upload_usage(bytes),
            Content::Output => handle.download_usage(),
            // no buffer is mapped for both
            Content::Updated | Content::Scratch => wgpu::BufferUsages::empty(),
        };
        let buffer = handle.buffer(name, inner + 2 * filling.guard, USAGE | more).await?;
        // The binding reaches over the guard zone behind the contents: a write past the end then lands there and is seen, where robust
        // access would otherwise hide it.
        let reach = inner + filling.guard;
        let bound = if reach <= filling.binding_bytes { reach } else { inner };
        let (name, read_only) = (name.to_owned(), content == Content::Input);
        Ok(Self { place: Place { name, buffer, offset: filling.guard, bound, bytes, read_only }, content })
    }

    /// Fills guard zones and contents. `parts` are `(byte offset, data)`.
    async fn upload(&self, handle: &Handle, parts: &[(u64, &[u8])], filling: &Filling) -> Result<(), RunError> {
        let Place { name, buffer, offset, .. } = &self.place;
        let given = matches!(self.content, Content::Input | Content::Updated);
        let poison = if given { None } else { filling.poison };
        if filling.guard == 0 && poison.is_none() {
            for (at, data) in parts.iter().filter(|(_, data)| !data.is_empty()) {
                if data.len() % 4 == 0 {
                    handle.write(name, buffer, at + offset, data).await?;
                } else {
                    handle.write(name, buffer, at + offset, &padded(data)).await?;
                }
            }
            return Ok(());
        }
        let size = usize::try_from(buffer.size()).unwrap_or(usize::MAX);
        let guard = usize::try_from(filling.guard).unwrap_or(0);
        let mut image = vec![0; size];
        fill(&mut image[..guard], GUARD_WORD);
        fill(&mut image[size - guard..], GUARD_WORD);
        fill(&mut image[guard..size - guard], poison.unwrap_or(0));
        for (at, data) in parts {
            let start = guard + usize::try_from(*at).unwrap_or(usize::MAX);
            let data = padded(data);
            image[start..start + data.len()].copy_from_slice(&data);
        }
        handle.write(name, buffer, 0, &image).await
    }

    /// What is wrong with the whole buffer after the run: a guard zone that was written, an input that changed.
    pub(crate) fn faults(&self, image: &[u8], input: Option<&[u8]>) -> Vec<String> {
        let guard = usize::try_from(self.place.offset).unwrap_or(0);
        let name = &self.place.name;
        let mut found = Vec::new();
        let (before, rest) = image.split_at(guard);
        let (inner, after) = rest.split_at(rest.len() - guard);
        for (zone, side) in [(before, "before"), (after, "after")] {
            let changed = |(_, word): &(usize, &[u8])| *word != GUARD_WORD.to_le_bytes();
            if let Some((index, word)) = zone.chunks(4).enumerate().find(changed) {
                let at = index * 4;
                found.push(format!("{name}: guard zone {side} the contents was written at byte {at}: {word:02x?}"));
            }
        }
        if let Some(input) = input
            && let Some(at) = (0..input.len()).find(|&i| inner[i] != input[i])
        {
            found.push(format!("{name}: input was changed at byte {at}: {:02x} became {:02x}", input[at], inner[at]));
        }
        found
    }
}

/// The packed inputs of a scratch buffer as `(offset, data)`, checked to lie inside it.
fn packed_parts<'a>(
    plan: &Plan,
    scratch: &str,
    bytes: u64,
    inputs: &'a Tensors,
) -> Result<Vec<(u64, &'a [u8])>, RunError> {
    let part = |p: &Packed| {
        let wrong = |message: String| contract(plan.op, format!("{} packed in {scratch}: {message}", p.operand));
        if !p.offset.is_multiple_of(4) || p.offset.checked_add(p.bytes).is_none_or(|end| end > bytes) {
            return Err(wrong(format!("{} bytes at {} in {bytes} bytes", p.bytes, p.offset)));
        }
        let data = inputs.get(p.operand).ok_or_else(|| wrong("is not an input".into()))?.bytes();
        let length = usize::try_from(p.bytes).unwrap_or(usize::MAX).min(data.len());
        Ok((p.offset, &data[..length]))
    };
    plan.packed.iter().filter(|p| p.scratch == scratch).map(part).collect()
}

/// Allocates and fills a run's buffers: outputs, the operands and scratch that some kernel binds. `used` tells which.
pub(crate) async fn allocate(
    handle: &Handle,
    plan: &Plan,
    operands: &[Operand],
    inputs: &Tensors,
    used: impl Fn(&str) -> bool,
    filling: &Filling,
) -> Result<Vec<Slot>, RunError> {
    let mut slots = Vec::with_capacity(operands.len() + plan.scratch.len());
    for operand in operands {
        let content = match operand.role {
            Role::Input => Content::Input,
            Role::Output => Content::Output,
            Role::Updated => Content::Updated,
        };
        if content == Content::Input && !used(operand.name) {
            continue;
        }
        let slot = Slot::allocate(handle, operand.name, operand.bytes(), content, filling).await?;
        let data = if operand.role.is_given() { inputs.get(operand.name) } else { None };
        let parts: Vec<_> = data.iter().map(|t| (0, t.bytes())).collect();
        slot.upload(handle, &parts, filling).await?;
        slots.push(slot);
    }
    for scratch in plan.scratch.iter().filter(|s| used(s.name)) {
        let slot = Slot::allocate(handle, scratch.name, scratch.bytes, Content::Scratch, filling).await?;
        let parts = packed_parts(plan, scratch.name, slot.place.bytes, inputs)?;
        slot.upload(handle, &parts, filling).await?;
        slots.push(slot);
    }
    Ok(slots)
}

/// Scratch for a plan that the caller submits, without guard or poison.
pub(crate) async fn scratch(handle: &Handle, scratch: &[Scratch], binding_bytes: u64) -> Result<Vec<Place>, RunError> {
    let filling = Filling { guard: 0, poison: None, binding_bytes };
    let mut places = Vec::with_capacity(scratch.len());
    for s in scratch {
        places.push(Slot::allocate(handle, s.name, s.bytes, Content::Scratch, &filling).await?.place);
    }
    Ok(places)
}
