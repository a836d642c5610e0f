//! The joint between plan and kernel: what a kernel binds, where that lies, and the bytes of `params`. All by name.

use gatefold_shaders::link::Module;
pub(crate) use gatefold_shaders::reflect::BindingKind;
use gatefold_shaders::reflect::{ParamField, ParamKind};
use gatefold_shaders::{Dispatch, Param, Step};

use crate::RunError;
use crate::pipelines::{Built, contract};

/// A buffer that an entry point reaches.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    /// Operand or scratch name; `params` for the uniform.
    pub(crate) name: String,
    /// `@binding`.
    pub(crate) index: u32,
    pub(crate) kind: BindingKind,
}

impl Bound {
    /// The bindings of a module, all in group 0.
    pub(crate) fn of(variant: &str, module: &Module) -> Result<Vec<Self>, RunError> {
        let bound = module.bindings.iter().map(|b| {
            if b.group != 0 {
                return Err(contract(variant, format!("{}: expected @group(0), got @group({})", b.name, b.group)));
            }
            Ok(Self { name: b.name.clone(), index: b.binding, kind: b.kind })
        });
        bound.collect()
    }
}

/// A member of `params`.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    name: String,
    offset: usize,
    kind: ParamKind,
}

impl Field {
    pub(crate) fn of(field: &ParamField) -> Self {
        Self { name: field.name.clone(), offset: field.offset as usize, kind: field.kind }
    }
}

fn words(param: Param) -> (ParamKind, [u8; 4]) {
    match param {
        Param::U32(value) => (ParamKind::U32, value.to_le_bytes()),
        Param::I32(value) => (ParamKind::I32, value.to_le_bytes()),
        Param::F32(value) => (ParamKind::F32, value.to_le_bytes()),
    }
}

/// Where each member of `params` is among the values that a dispatch gives: every member exactly once. Mostly they come in one order, so
/// the search begins after the last hit.
fn values<'a>(built: &'a Built, dispatch: &'a Dispatch) -> Result<Vec<(&'a Field, Param)>, RunError> {
    let wrong = |name: &str, message: &str| Err(contract(&built.name, format!("params.{name}: {message}")));
    let (given, mut next) = (&dispatch.params, 0);
    let mut found = Vec::with_capacity(built.params.len());
    for field in &built.params {
        let (before, after) = given.split_at(next.min(given.len()));
        let hit = after.iter().position(|(name, _)| *name == field.name).map(|at| next + at);
        let Some(at) = hit.or_else(|| before.iter().position(|(name, _)| *name == field.name)) else {
            return wrong(&field.name, "expected a value, the dispatch gives none");
        };
        next = at + 1;
        found.push((field, given[at].1));
    }
    // Every member has its own value: as many values as members are all there are.
    if given.len() > found.len() {
        for (index, (name, _)) in given.iter().enumerate() {
            if built.params.iter().all(|f| f.name != *name) {
                return wrong(name, "given by the dispatch, but the struct has no such member");
            }
            if given[..index].iter().any(|(earlier, _)| earlier == name) {
                return wrong(name, "expected one value, the dispatch gives two");
            }
        }
    }
    Ok(found)
}

/// Writes a dispatch's parameters into its block, each of its own type.
pub(crate) fn write_params(built: &Built, dispatch: &Dispatch, block: &mut [u8]) -> Result<(), RunError> {
    let wrong = |message: String| contract(&built.name, message);
    for (field, param) in values(built, dispatch)? {
        let (kind, bytes) = words(param);
        if kind != field.kind {
            return Err(wrong(format!("params.{}: expected {}, the dispatch gives {kind}", field.name, field.kind)));
        }
        block
            .get_mut(field.offset..field.offset + 4)
            .ok_or_else(|| wrong(format!("params.{}: lies beyond the struct", field.name)))?
            .copy_from_slice(&bytes);
    }
    Ok(())
}

/// Where an operand or scratch lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) buffer: wgpu::Buffer,
    /// First byte of the contents.
    pub(crate) offset: u64,
    /// Bytes bound when no window is given.
    pub(crate) bound: u64,
    /// Bytes of the contents, a multiple of 4.
    pub(crate) bytes: u64,
    /// Whether kernels may only read it.
    pub(crate) read_only: bool,
}

/// The range that a dispatch binds for a name: `(place, offset in the buffer, bytes)`.
fn range<'a>(
    step: &Step,
    built: &Built,
    bound: &Bound,
    dispatch: &Dispatch,
    places: &'a [Place],
) -> Result<(&'a Place, u64, u64), RunError> {
    let wrong = |message: String| contract(&built.name, message);
    let name = step.operand_of(&bound.name);
    let Some(place) = places.iter().find(|p| p.name == name) else {
        return Err(wrong(format!("{name}: bound by the kernel, but neither an operand nor scratch")));
    };
    if place.read_only && bound.kind == BindingKind::ReadWrite {
        return Err(wrong(format!("{}: expected var<storage, read> for an input, got read_write", bound.name)));
    }
    let Some(window) = dispatch.windows.iter().find(|w| w.operand == bound.name) else {
        return Ok((place, place.offset, place.bound));
    };
    let bytes = window.bytes.next_multiple_of(4);
    if window.bytes == 0 || window.offset.checked_add(bytes).is_none_or(|end| end > place.bytes) {
        let Place { bytes: have, .. } = place;
        return Err(wrong(format!(
            "{}: window of {} bytes at {} in {have} bytes",
            bound.name, window.bytes, window.offset
        )));
    }
    Ok((place, place.offset + window.offset, bytes))
}

/// A dispatch, ready to be recorded.
#[derive(Debug)]
pub(crate) struct Job {
    /// Index of its step.
    pub(crate) step: usize,
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) group: wgpu::BindGroup,
    /// Offset of its parameters in the uniform buffer, if it has any.
    pub(crate) params: Option<u32>,
    pub(crate) grid: [u32; 3],
}

/// The parameters of every dispatch with a non-empty grid, block after block, and where each block begins.
pub(crate) fn all_params(
    steps: &[(&Step, std::sync::Arc<Built>)],
    alignment: u64,
) -> Result<(Vec<u8>, Vec<u64>), RunError> {
    let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
    for (step, built) in steps {
        let size = built.params_bytes as usize;
        for dispatch in step.dispatches.iter().filter(|d| !d.grid.contains(&0)) {
            let start = bytes.len().next_multiple_of(usize::try_from(alignment).unwrap_or(256));
            bytes.resize(start + size, 0);
            write_params(built, dispatch, &mut bytes[start..])?;
            offsets.push(start as u64);
        }
    }
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    Ok((bytes, offsets))
}

/// The bind group of a dispatch. The uniform is bound at offset 0 and moved by its dynamic offset.
pub(crate) fn entries<'a>(
    step: &Step,
    built: &Built,
    dispatch: &Dispatch,
    places: &'a [Place],
    uniform: Option<&'a wgpu::Buffer>,
) -> Result<Vec<wgpu::BindGroupEntry<'a>>, RunError> {
    let entry = |bound: &Bound| {
        let (buffer, offset, bytes) = if bound.kind == BindingKind::Uniform {
            let missing = || contract(&built.name, format!("{}: uniform without members", bound.name));
            (uniform.ok_or_else(missing)?, 0, u64::from(built.params_bytes))
        } else {
            let (place, offset, bytes) = range(step, built, bound, dispatch, places)?;
            (&place.buffer, offset, bytes)
        };
        let binding = wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) };
        Ok(wgpu::BindGroupEntry { binding: bound.index, resource: wgpu::BindingResource::Buffer(binding) })
    };
    built.bindings.iter().map(entry).collect()
}
