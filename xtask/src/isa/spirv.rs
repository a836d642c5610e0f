//! SPIR-V of a step, by the compiler and with the options that wgpu uses on this driver: with naga's run-time checks and without.

use anyhow::{Context, Result};
use gatefold_shaders::Step;
use gatefold_shaders::link::{Module, link};
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use serde::{Deserialize, Serialize};

/// Whether naga's run-time checks are in the code. They decide: a loop with a counter that naga put there is not unrolled by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checks {
    /// As wgpu does by itself: indices clamped, loops counted, divisors tested, workgroup memory zeroed.
    On,
    /// As for a shader that is trusted.
    Off,
}

/// Both, in the order of the columns.
pub(crate) const BOTH: [Checks; 2] = [Checks::On, Checks::Off];

/// wgpu's options on RADV of Mesa 22 and later.
pub(crate) fn options(checks: Checks) -> spv::Options<'static> {
    let on = checks == Checks::On;
    let index = if on { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    // The driver has robustBufferAccess2, so wgpu leaves buffers to it.
    let unchecked = BoundsCheckPolicy::Unchecked;
    spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        fake_missing_bindings: false,
        capabilities: None,
        bounds_check_policies: BoundsCheckPolicies {
            index,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: if on {
            spv::ZeroInitializeWorkgroupMemoryMode::Native
        } else {
            spv::ZeroInitializeWorkgroupMemoryMode::None
        },
        force_loop_bounding: on,
        emit_int_div_checks: on,
        ..spv::Options::default()
    }
}

/// Links a step and compiles it. Bindings have the numbers that the WGSL text gives them.
pub(crate) fn compile(step: &Step, checks: Checks) -> Result<(Module, Vec<u32>)> {
    let module = link(step)?;
    let words = written(&module, options(checks))?;
    Ok((module, words))
}

/// A linked module's words.
pub(crate) fn written(module: &Module, mut options: spv::Options<'_>) -> Result<Vec<u32>> {
    for binding in &module.bindings {
        let at = naga::ResourceBinding { group: binding.group, binding: binding.binding };
        let descriptor =
            spv::BindingInfo { descriptor_set: binding.group, binding: binding.binding, binding_array_size: None };
        options.binding_map.insert(at, descriptor);
    }
    let entry = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(&module.naga, &module.info, &options, Some(&entry))
        .with_context(|| format!("writing SPIR-V of {}", module.name))
}
