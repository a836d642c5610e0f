//! Planted faults: before a compiler's yes counts, it must say no.

use anyhow::{Result, anyhow};
use gatefold_shaders::link::{Module, link};
use gatefold_shaders::{Dispatch, Source, Step};

use super::spirv_val::FORMS;
use super::worker::{Kind, Tools};
use super::written;
use crate::isa::spirv::{self, Checks};

const SOUND: &str = "var<workgroup> shared_words: array<u32, 64>;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) at: u32) {
  shared_words[at] = at;
  workgroupBarrier();
  y[at] = shared_words[63u - at];
}
";

/// Naga accepts a barrier that only some invocations reach; Tint must not.
const DIVERGENT: &str = "var<workgroup> shared_words: array<u32, 64>;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) at: u32) {
  shared_words[at] = at;
  if (at < 7u) {
    workgroupBarrier();
  }
  y[at] = shared_words[63u - at];
}
";

/// Right but for a statement that no invocation reaches: no error, a warning.
const UNREACHED: &str = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) at: u32) {
  y[at] = at;
  return;
  y[at] = 0u;
}
";

fn module(name: &str, text: &'static str) -> Result<Module> {
    let dispatch = Dispatch { grid: [1, 1, 1], params: vec![], windows: vec![] };
    Ok(link(&Step::plain(name, Source { path: "planted.wgsl", text }, vec![dispatch]))?)
}

/// What a compiler says about planted faults: each must be refused, with these words.
pub(super) struct Plant {
    /// Which compiler.
    pub(super) kind: Kind,
    /// What is planted.
    pub(super) name: &'static str,
    /// What its answer must contain.
    words: &'static str,
    answer: Result<()>,
}

impl Plant {
    /// Nothing if the fault was refused, else what went wrong.
    pub(super) fn fault(&self) -> Option<String> {
        let (kind, name) = (self.kind, self.name);
        match &self.answer {
            Ok(()) => Some(format!("{kind} accepts a planted fault: {name}")),
            Err(e) if format!("{e:#}").contains(self.words) => None,
            Err(e) => Some(format!("{kind}: planted fault {name}: expected \"{}\", got {e:#}", self.words)),
        }
    }
}

/// Plants a fault for every compiler that is there, and a sound module, which none may refuse.
///
/// # Errors
/// If the sound module is refused.
pub(super) fn plant(tools: &mut Tools) -> Result<Vec<Plant>> {
    let sound = module("planted.sound", SOUND)?;
    let refused = |kind: Kind, e: anyhow::Error| anyhow!("{kind} refuses a sound module: {e:#}");
    let mut plants = Vec::new();
    if let Ok(tint) = &mut tools.tint {
        tint.check(&sound).map_err(|e| refused(Kind::Tint, e))?;
        for (name, words, text) in [
            ("a barrier that only some invocations reach", "planted.wgsl:7: error: 'workgroupBarrier'", DIVERGENT),
            ("a statement that none reaches", "planted.wgsl:6: warning:", UNREACHED),
        ] {
            let answer = tint.check(&module("planted.fault", text)?);
            plants.push(Plant { kind: Kind::Tint, name, words, answer });
        }
    }
    let form = &FORMS[0];
    if let Ok(spirv_val) = &tools.spirv_val {
        let mut words = spirv::written(&sound, form.options())?;
        spirv_val.check(&words, form).map_err(|e| refused(Kind::SpirvVal, e))?;
        // OpFunctionEnd becomes OpNop
        if let Some(last) = words.last_mut() {
            *last = 1 << 16;
        }
        let answer = spirv_val.check(&words, form);
        plants.push(Plant { kind: Kind::SpirvVal, name: "a function without an end", words: "checked: error", answer });
    }
    if let Ok(dxc) = &mut tools.dxc {
        let mut hlsl = written::hlsl(&sound, false, Checks::On)?;
        dxc.check(&hlsl).map_err(|e| refused(Kind::Dxc, e))?;
        hlsl.text = hlsl.text.replace("GroupMemoryBarrierWithGroupSync()", "GroupMemoryBarrierWithGroupSnc()");
        let answer = dxc.check(&hlsl);
        let words = "GroupMemoryBarrierWithGroupSnc";
        plants.push(Plant { kind: Kind::Dxc, name: "a function of an unknown name", words, answer });
    }
    // a buffer that the layout does not have
    let mut unbound = module("planted.fault", SOUND)?;
    unbound.bindings.clear();
    let answer = written::msl(&unbound, Checks::On).map(drop);
    plants.push(Plant { kind: Kind::Msl, name: "a buffer without a number", words: "writing MSL", answer });
    Ok(plants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::worker::KINDS;

    /// Those of the compilers that are installed and need no Wine.
    #[test]
    fn planted_faults_are_refused() {
        let mut tools = Tools::start(&[Kind::Tint, Kind::SpirvVal, Kind::Msl], None, 0).unwrap();
        let there = KINDS.into_iter().filter(|&k| tools.name(k).is_ok()).count();
        let plants = plant(&mut tools).unwrap();
        assert!(plants.len() >= there && there >= 1, "{} plants for {there} compilers", plants.len());
        let faults: Vec<_> = plants.iter().filter_map(Plant::fault).collect();
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_yes_or_another_no_is_a_fault() {
        let planted = |answer| Plant { kind: Kind::Dxc, name: "x", words: "name", answer };
        assert!(planted(Ok(())).fault().unwrap().contains("DXC accepts"));
        assert!(planted(Err(anyhow!("out of memory"))).fault().unwrap().contains("out of memory"));
        assert!(planted(Err(anyhow!("unknown name"))).fault().is_none());
    }
}
