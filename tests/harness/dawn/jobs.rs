//! From a plan to buffers, bindings and dispatches in plain numbers, and from the buffers back to outputs and faults.

use std::rc::Rc;

use gatefold_core::{Operand, Role, Tensor, Tensors};
use gatefold_shaders::reflect::{Binding, BindingKind, ParamField};
use gatefold_shaders::{Dispatch, Limits, LinkError, Param, Plan, Step};
use gatefold_wgpu::{RunError, RunOptions};
use serde::Serialize;

/// Word in guard zones: a NaN as f32 and as the upper f16.
const GUARD: [u8; 4] = 0x7FA5_A55Au32.to_le_bytes();

/// Least bytes of a binding: an element of any type.
const LEAST: usize = 16;

/// Alignment of a dispatch's parameters in the uniform buffer: WebGPU's default.
const PARAMS_ALIGNMENT: usize = 256;

/// A compiled step.
pub(super) struct Built {
    /// What the executor calls it.
    pub(super) id: usize,
    pub(super) bindings: Vec<Binding>,
    pub(super) params: Vec<ParamField>,
    pub(super) params_bytes: u32,
}

/// A dispatch for the executor.
#[derive(Debug, Serialize)]
pub(super) struct Job {
    pipeline: usize,
    /// Binding, buffer, offset, bytes; the buffer after the last is the uniform.
    group: Vec<(u32, usize, usize, usize)>,
    /// Where its parameters begin.
    offset: Option<usize>,
    grid: [u32; 3],
}

/// A buffer: `[guard, contents, guard]`.
pub(super) struct Slot {
    name: &'static str,
    /// Bytes of the contents in whole words.
    bytes: usize,
    /// Bytes bound where no window says otherwise: past the contents, so that a write beyond them is seen.
    bound: usize,
    /// Whether it must come back as it was.
    constant: bool,
    /// What it holds at first.
    pub(super) image: Vec<u8>,
}

/// The buffers of a run.
pub(super) struct Layout {
    guard: usize,
    pub(super) slots: Vec<Slot>,
}

fn contract(variant: &str, message: String) -> RunError {
    RunError::Link(LinkError::Contract { variant: variant.into(), message })
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn words(count: usize, word: [u8; 4]) -> impl Iterator<Item = u8> {
    word.into_iter().cycle().take(count)
}

impl Layout {
    pub(super) fn new(
        plan: &Plan,
        steps: &[(&Step, Rc<Built>)],
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
        limits: &Limits,
    ) -> Result<Self, RunError> {
        let guard = if options.guard { size(limits.offset_alignment.max(256)) } else { 0 };
        let mut layout = Self { guard, slots: Vec::new() };
        let poison = options.poison.unwrap_or(0).to_le_bytes();
        let most = size(limits.binding_bytes);
        let used = |name: &str| {
            steps.iter().any(|(step, built)| built.bindings.iter().any(|b| step.operand_of(&b.name) == name))
        };
        for operand in operands.iter().filter(|o| o.role != Role::Input || used(o.name)) {
            let mut parts = Vec::new();
            if operand.role.is_given() {
                let absent = || contract(plan.op, format!("{}: is not given", operand.name));
                parts.push((0, inputs.get(operand.name).ok_or_else(absent)?.bytes()));
            }
            let filling = if operand.role.is_given() { [0; 4] } else { poison };
            layout.add(operand.name, size(operand.bytes()), filling, &parts, most);
            layout.slots.last_mut().into_iter().for_each(|s| s.constant = operand.role == Role::Input);
        }
        for scratch in plan.scratch.iter().filter(|s| used(s.name)) {
            let mut parts = Vec::new();
            for packed in plan.packed.iter().filter(|p| p.scratch == scratch.name) {
                let wrong =
                    |what: &str| contract(plan.op, format!("{} packed in {}: {what}", packed.operand, scratch.name));
                let data = inputs.get(packed.operand).ok_or_else(|| wrong("is not given"))?.bytes();
                let end = packed.offset.checked_add(packed.bytes).filter(|&end| end <= scratch.bytes);
                end.ok_or_else(|| wrong("lies beyond it"))?;
                parts.push((size(packed.offset), &data[..data.len().min(size(packed.bytes))]));
            }
            layout.add(scratch.name, size(scratch.bytes), poison, &parts, most);
        }
        Ok(layout)
    }

    fn add(&mut self, name: &'static str, bytes: usize, filling: [u8; 4], parts: &[(usize, &[u8])], most: usize) {
        let bytes = bytes.next_multiple_of(4);
        let inner = bytes.max(LEAST);
        let mut image: Vec<u8> = words(self.guard, GUARD).collect();
        image.extend(words(inner, filling));
        image.extend(words(self.guard, GUARD));
        for (at, data) in parts {
            let start = self.guard + at;
            image[start..start + data.len().next_multiple_of(4)].fill(0);
            image[start..start + data.len()].copy_from_slice(data);
        }
        let reach = inner + self.guard;
        let bound = if reach <= most { reach } else { inner };
        self.slots.push(Slot { name, bytes, bound, constant: false, image });
    }

    /// The buffer, offset and bytes that a dispatch binds.
    fn range(&self, step: &Step, binding: &Binding, dispatch: &Dispatch) -> Result<(usize, usize, usize), RunError> {
        let name = step.operand_of(&binding.name);
        let found = self.slots.iter().position(|s| s.name == name);
        let at = found.ok_or_else(|| contract(&step.name, format!("{name}: neither an operand nor scratch")))?;
        let slot = &self.slots[at];
        if slot.constant && binding.kind == BindingKind::ReadWrite {
            return Err(contract(&step.name, format!("{name}: an input that the kernel may write")));
        }
        let Some(window) = dispatch.windows.iter().find(|w| w.operand == binding.name) else {
            return Ok((at, self.guard, slot.bound));
        };
        let (offset, bytes) = (size(window.offset), size(window.bytes).next_multiple_of(4));
        if bytes == 0 || offset.checked_add(bytes).is_none_or(|end| end > slot.bytes) {
            let message = format!("{name}: window of {bytes} bytes at {offset} in {}", slot.bytes);
            return Err(contract(&step.name, message));
        }
        Ok((at, self.guard + offset, bytes))
    }

    /// Every dispatch with a non-empty grid, and the uniform's contents.
    pub(super) fn jobs(&self, steps: &[(&Step, Rc<Built>)]) -> Result<(Vec<Job>, Vec<u8>), RunError> {
        let (mut jobs, mut uniform) = (Vec::new(), Vec::new());
        for (step, built) in steps {
            for dispatch in step.dispatches.iter().filter(|d| !d.grid.contains(&0)) {
                let start = uniform.len().next_multiple_of(PARAMS_ALIGNMENT);
                let bytes = built.params_bytes as usize;
                if bytes > 0 {
                    uniform.resize(start + bytes.next_multiple_of(16), 0);
                    write_params(step, built, dispatch, &mut uniform[start..])?;
                }
                let entry = |binding: &Binding| -> Result<_, RunError> {
                    let (buffer, offset, bytes) = match binding.kind {
                        BindingKind::Uniform => (self.slots.len(), 0, bytes),
                        _ => self.range(step, binding, dispatch)?,
                    };
                    Ok((binding.binding, buffer, offset, bytes))
                };
                let group = built.bindings.iter().map(entry).collect::<Result<_, _>>()?;
                jobs.push(Job { pipeline: built.id, group, offset: (bytes > 0).then_some(start), grid: dispatch.grid });
            }
        }
        Ok((jobs, uniform))
    }

    /// Outputs, and what was changed that should not have been.
    pub(super) fn collect(&self, back: &[u8], operands: &[Operand]) -> Result<(Tensors, Vec<String>), RunError> {
        let (mut outputs, mut faults) = (Tensors::new(), Vec::new());
        let expected: usize = self.slots.iter().map(|s| s.image.len()).sum();
        if back.len() != expected {
            let message = format!("{} bytes came back, expected {expected}", back.len());
            return Err(RunError::MapFailed { what: "all buffers".into(), message });
        }
        let mut rest = back;
        for slot in &self.slots {
            let (image, after) = rest.split_at(slot.image.len());
            rest = after;
            faults.extend(slot.faults(image, self.guard));
            if let Some(o) = operands.iter().find(|o| o.name == slot.name && o.role.is_made()) {
                let bytes = &image[self.guard..self.guard + size(o.bytes())];
                outputs.insert(o.name, Tensor::from_bytes(o.dtype, o.dims.clone(), bytes)?);
            }
        }
        Ok((outputs, faults))
    }

    /// What a plan without steps gives: zeros, and what it could have updated as it was.
    pub(super) fn unchanged(&self, operands: &[Operand], inputs: &Tensors) -> Result<Tensors, RunError> {
        let mut outputs = Tensors::new();
        for o in operands.iter().filter(|o| o.role.is_made()) {
            let tensor = match inputs.get(o.name).filter(|_| o.role.is_given()) {
                Some(given) => given.clone(),
                None => Tensor::from_bytes(o.dtype, o.dims.clone(), &vec![0; size(o.bytes())])?,
            };
            outputs.insert(o.name, tensor);
        }
        Ok(outputs)
    }
}

impl Slot {
    /// Guard zones that were written, an input that changed.
    fn faults(&self, image: &[u8], guard: usize) -> Vec<String> {
        let inner = guard..self.image.len() - guard;
        let changed = (0..image.len()).filter(|&at| image[at] != self.image[at]);
        let mut found = Vec::new();
        for (what, within) in [
            ("guard zone before the contents was written", 0..inner.start),
            ("input was changed", inner.clone()),
            ("guard zone after the contents was written", inner.end..image.len()),
        ] {
            if within == inner && !self.constant {
                continue;
            }
            if let Some(at) = changed.clone().find(|at| within.contains(at)) {
                found.push(format!("{}: {what} at byte {}", self.name, at - within.start));
            }
        }
        found
    }
}

/// Writes a dispatch's parameters into their block: every member once, each of its own type.
fn write_params(step: &Step, built: &Built, dispatch: &Dispatch, block: &mut [u8]) -> Result<(), RunError> {
    let wrong = |name: &str, message: &str| Err(contract(&step.name, format!("params.{name}: {message}")));
    if dispatch.params.len() != built.params.len() {
        return wrong("*", &format!("{} values for {} members", dispatch.params.len(), built.params.len()));
    }
    for field in &built.params {
        let Some((_, value)) = dispatch.params.iter().find(|(name, _)| *name == field.name) else {
            return wrong(&field.name, "has no value");
        };
        use gatefold_shaders::reflect::ParamKind;
        let (kind, bytes) = match value {
            Param::U32(v) => (ParamKind::U32, v.to_le_bytes()),
            Param::I32(v) => (ParamKind::I32, v.to_le_bytes()),
            Param::F32(v) => (ParamKind::F32, v.to_le_bytes()),
        };
        if kind != field.kind {
            return wrong(&field.name, &format!("expected {}, got {kind}", field.kind));
        }
        block[field.offset as usize..][..4].copy_from_slice(&bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatefold_core::Dtype;

    fn layout() -> (Layout, [Operand; 2]) {
        let operands = [Operand::input("x", [3], Dtype::F32), Operand::output("y", [3], Dtype::F32)];
        let inputs = Tensors::new().with("x", Tensor::f32([3], [1.0, 2.0, 3.0]).unwrap());
        let mut layout = Layout { guard: 256, slots: Vec::new() };
        layout.add("x", 12, [0; 4], &[(0, inputs["x"].bytes())], 1 << 20);
        layout.slots[0].constant = true;
        layout.add("y", 12, [1; 4], &[], 1 << 20);
        (layout, operands)
    }

    fn back(layout: &Layout, change: usize) -> Vec<u8> {
        let mut all: Vec<u8> = layout.slots.iter().flat_map(|s| s.image.clone()).collect();
        all[change] ^= 1;
        all
    }

    #[test]
    fn every_byte_that_may_not_change_is_watched() {
        let (layout, operands) = layout();
        let length = layout.slots[0].image.len();
        assert_eq!(length, 256 + 16 + 256);
        let faults = |at| layout.collect(&back(&layout, at), &operands).unwrap().1;
        assert!(faults(8)[0].contains("x: guard zone before"));
        assert!(faults(257)[0].contains("x: input was changed at byte 1"));
        assert!(faults(length - 1)[0].contains("x: guard zone after"));
        assert!(faults(length + 256 + 16)[0].contains("y: guard zone after the contents was written at byte 0"));
        assert_eq!(faults(length + 256), Vec::<String>::new());
        assert!(layout.collect(&[0; 8], &operands).is_err());
    }
}
