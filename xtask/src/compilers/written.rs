//! HLSL and MSL as wgpu has naga write them: same options, same numbers of bindings.

use anyhow::{Context, Result, anyhow};
use gatefold_shaders::link::Module;
use gatefold_shaders::reflect::BindingKind;
use naga::back::{TaskDispatchLimits, hlsl, msl};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::{ResourceBinding, ShaderStage};

use crate::isa::spirv::Checks;

/// The entry point of every kernel, and its stage.
pub(super) fn entry() -> (ShaderStage, String) {
    (ShaderStage::Compute, "main".into())
}

/// Mesh shaders' limits: wgpu states some, compute shaders have no use for them.
const NO_MESHES: Option<TaskDispatchLimits> =
    Some(TaskDispatchLimits { max_mesh_workgroups_per_dim: 0, max_mesh_workgroups_total: 0 });

/// HLSL of a module.
pub(super) struct Hlsl {
    pub(super) text: String,
    /// Name of the entry point: naga renames what is a word of HLSL.
    pub(super) entry: String,
    /// What the compiler is asked for: `cs_6_0`.
    pub(super) target: &'static str,
    /// Whether there are 16-bit types.
    pub(super) half: bool,
}

/// Registers as wgpu's layout numbers them: storage buffers in the descriptor table in their order, `params`, whose offset is dynamic, in
/// the root; then the constants that stand in for built-in values.
fn registers(module: &Module) -> (hlsl::BindingMap, hlsl::BindTarget) {
    let (mut uniforms, mut read, mut written) =
        (hlsl::BindTarget::default(), hlsl::BindTarget::default(), hlsl::BindTarget::default());
    let mut map = hlsl::BindingMap::default();
    for binding in &module.bindings {
        let next = match binding.kind {
            BindingKind::Uniform => &mut uniforms,
            BindingKind::ReadOnly => &mut read,
            BindingKind::ReadWrite => &mut written,
        };
        let restrict_indexing = binding.kind == BindingKind::Uniform;
        let at = ResourceBinding { group: binding.group, binding: binding.binding };
        map.insert(at, hlsl::BindTarget { restrict_indexing, ..*next });
        next.register += 1;
    }
    (map, uniforms)
}

/// Writes HLSL for the oldest shader model that has what the module needs: 6.0 is wgpu's oldest and has waves, 6.2 has f16.
///
/// # Errors
/// What naga cannot write.
pub(super) fn hlsl(module: &Module, half: bool, checks: Checks) -> Result<Hlsl> {
    let on = checks == Checks::On;
    let (binding_map, next_uniform) = registers(module);
    let (shader_model, target) =
        if half { (hlsl::ShaderModel::V6_2, "cs_6_2") } else { (hlsl::ShaderModel::V6_0, "cs_6_0") };
    let options = hlsl::Options {
        shader_model,
        binding_map,
        fake_missing_bindings: false,
        special_constants_binding: Some(next_uniform),
        zero_initialize_workgroup_memory: on,
        restrict_indexing: on,
        force_loop_bounding: on,
        task_dispatch_limits: if on { NO_MESHES } else { None },
        mesh_shader_primitive_indices_clamp: on,
        ray_query_initialization_tracking: on,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some(entry()) };
    let mut text = String::new();
    let mut found = hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&module.naga, &module.info, None)
        .context("writing HLSL")?;
    let entry = found.entry_point_names.pop().ok_or_else(|| anyhow!("writing HLSL: no entry point"))?;
    Ok(Hlsl { text, entry: entry.context("writing HLSL")?, target, half })
}

/// Writes Metal's language: of macOS 11 with checks, of macOS 15 without.
///
/// # Errors
/// What naga cannot write.
pub(super) fn msl(module: &Module, checks: Checks) -> Result<String> {
    let on = checks == Checks::On;
    let policy = if on { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let mut resources = msl::EntryPointResources::default();
    for (slot, binding) in (0..).zip(&module.bindings) {
        let at = ResourceBinding { group: binding.group, binding: binding.binding };
        let mutable = binding.kind == BindingKind::ReadWrite;
        resources.resources.insert(at, msl::BindTarget { buffer: Some(slot), mutable, ..msl::BindTarget::default() });
    }
    // where there are storage buffers, wgpu adds one with their sizes
    let after = msl::Slot::try_from(module.bindings.len()).context("numbering buffers")?;
    resources.sizes_buffer = module.bindings.iter().any(|b| b.kind != BindingKind::Uniform).then_some(after);
    let options = msl::Options {
        lang_version: if on { (2, 3) } else { (3, 2) },
        per_entry_point_map: msl::EntryPointResourceMap::from([(entry().1, resources)]),
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies {
            index: policy,
            buffer: policy,
            image_load: policy,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: on,
        force_loop_bounding: on,
        task_dispatch_limits: if on { NO_MESHES } else { None },
        mesh_shader_primitive_indices_clamp: on,
        emit_int_div_checks: on,
        ray_query_initialization_tracking: on,
        ..msl::Options::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some(entry()),
        vertex_pulling_transform: true,
        ..msl::PipelineOptions::default()
    };
    let (text, info) = msl::write_string(&module.naga, &module.info, &options, &pipeline).context("writing MSL")?;
    let name = info.entry_point_names.first().ok_or_else(|| anyhow!("writing MSL: no entry point"))?;
    name.as_ref().map_err(|e| anyhow!("writing MSL: {e}"))?;
    Ok(text)
}
