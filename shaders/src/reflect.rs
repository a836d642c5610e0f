//! What a linked module asks of the host, by name: nobody writes a binding number twice.

use naga::proc::Layouter;
use naga::valid::ModuleInfo;
use naga::{AddressSpace, GlobalVariable, Handle, ScalarKind, StorageAccess, TypeInner};

/// How a buffer is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// Uniform buffer: `params`.
    Uniform,
    /// Storage buffer that the kernel only reads.
    ReadOnly,
    /// Storage buffer that the kernel may write.
    ReadWrite,
}

/// A buffer that the entry point reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// WGSL name: that of the operand or scratch, or `params`.
    pub name: String,
    /// `@group`.
    pub group: u32,
    /// `@binding`.
    pub binding: u32,
    /// How it is bound.
    pub kind: BindingKind,
}

/// Type of a member of `params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// `u32`.
    U32,
    /// `i32`.
    I32,
    /// `f32`.
    F32,
}

impl std::fmt::Display for ParamKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
        })
    }
}

/// A member of the struct of the uniform `params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamField {
    /// Member name.
    pub name: String,
    /// Byte offset.
    pub offset: u32,
    /// Type.
    pub kind: ParamKind,
}

/// A variable in workgroup memory that the entry point reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkgroupVariable {
    /// WGSL name.
    pub name: String,
    /// Bytes.
    pub bytes: u32,
}

/// All of it.
pub(crate) struct Reflection {
    pub(crate) bindings: Vec<Binding>,
    pub(crate) params: Vec<ParamField>,
    pub(crate) params_bytes: u32,
    pub(crate) workgroup_size: [u32; 3],
    pub(crate) workgroup_variables: Vec<WorkgroupVariable>,
}

/// Globals that the entry point `main` reaches, directly or through functions.
pub(crate) fn reached<'a>(
    module: &'a naga::Module,
    info: &'a ModuleInfo,
) -> impl Iterator<Item = (Handle<GlobalVariable>, &'a GlobalVariable)> {
    let uses = info.get_entry_point(0);
    module.global_variables.iter().filter(move |(handle, _)| !uses[*handle].is_empty())
}

/// Reads bindings, parameters and workgroup memory from a module with one compute entry point `main`. The error is in words.
pub(crate) fn reflect(module: &naga::Module, info: &ModuleInfo) -> Result<Reflection, String> {
    let [entry] = &module.entry_points[..] else {
        return Err(format!("expected one entry point, found {}", module.entry_points.len()));
    };
    if entry.name != "main" || entry.stage != naga::ShaderStage::Compute {
        return Err(format!("expected a compute entry point main, found {} ({:?})", entry.name, entry.stage));
    }
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let mut found = Reflection {
        bindings: Vec::new(),
        params: Vec::new(),
        params_bytes: 0,
        workgroup_size: entry.workgroup_size,
        workgroup_variables: Vec::new(),
    };
    for (_, global) in reached(module, info) {
        let name = global.name.clone().unwrap_or_default();
        let kind = match global.space {
            AddressSpace::Uniform if name == "params" => {
                found.params = params(module, global)?;
                found.params_bytes = layouter[global.ty].size;
                BindingKind::Uniform
            }
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => BindingKind::ReadWrite,
            AddressSpace::Storage { .. } => BindingKind::ReadOnly,
            AddressSpace::WorkGroup => {
                found.workgroup_variables.push(WorkgroupVariable { name, bytes: layouter[global.ty].size });
                continue;
            }
            AddressSpace::Private => continue,
            other => return Err(format!("{name}: a kernel has no global in {other:?}; the only uniform is params")),
        };
        let Some(at) = &global.binding else {
            return Err(format!("{name}: has no @group and @binding"));
        };
        found.bindings.push(Binding { name, group: at.group, binding: at.binding, kind });
    }
    found.bindings.sort_by_key(|b| (b.group, b.binding));
    for pair in found.bindings.windows(2) {
        if (pair[0].group, pair[0].binding) == (pair[1].group, pair[1].binding) {
            return Err(format!("{} and {} share binding {}", pair[0].name, pair[1].name, pair[0].binding));
        }
    }
    Ok(found)
}

fn params(module: &naga::Module, global: &GlobalVariable) -> Result<Vec<ParamField>, String> {
    let TypeInner::Struct { members, .. } = &module.types[global.ty].inner else {
        return Err("params: expected a struct".into());
    };
    members
        .iter()
        .map(|m| {
            let name = m.name.clone().unwrap_or_default();
            let TypeInner::Scalar(scalar) = module.types[m.ty].inner else {
                return Err(format!("params.{name}: expected u32, i32 or f32"));
            };
            let kind = match (scalar.kind, scalar.width) {
                (ScalarKind::Uint, 4) => ParamKind::U32,
                (ScalarKind::Sint, 4) => ParamKind::I32,
                (ScalarKind::Float, 4) => ParamKind::F32,
                _ => return Err(format!("params.{name}: expected u32, i32 or f32")),
            };
            Ok(ParamField { name, offset: m.offset, kind })
        })
        .collect()
}
