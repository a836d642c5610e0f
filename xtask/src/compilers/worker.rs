//! One of several workers: its own compilers, and what they say about a variant.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use gatefold_shaders::Step;
use gatefold_shaders::link::{Module, link};

use super::dxc::{self, Dxc};
use super::spirv_val::{FORMS, SpirvVal};
use super::tint::{self, Tint};
use super::written;
use crate::isa::spirv::{self, BOTH, Checks};

/// A compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Kind {
    /// WGSL, by Dawn's and Chromium's compiler
    Tint,
    /// naga's SPIR-V, by Khronos' validator
    SpirvVal,
    /// naga's HLSL, by Microsoft's compiler
    Dxc,
    /// naga's MSL: only that it is written, since no compiler of it is at hand
    Msl,
}

/// All, in the order of reports.
pub(super) const KINDS: [Kind; 4] = [Kind::Tint, Kind::SpirvVal, Kind::Dxc, Kind::Msl];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tint => "Tint",
            Self::SpirvVal => "spirv-val",
            Self::Dxc => "DXC",
            Self::Msl => "MSL",
        })
    }
}

/// A worker's compilers; where one is not there, why.
pub(super) struct Tools {
    pub(super) tint: Result<Tint, String>,
    pub(super) spirv_val: Result<SpirvVal, String>,
    pub(super) dxc: Result<Dxc, String>,
    msl: bool,
}

impl Tools {
    /// Starts those of the wanted that are installed. `dxc` is where DXC is, if it is.
    ///
    /// # Errors
    /// If one is installed and does not start.
    pub(super) fn start(wanted: &[Kind], dxc: Option<&Path>, number: usize) -> Result<Self> {
        let is_wanted = |kind| wanted.contains(&kind);
        let not_asked = || "not asked for".to_string();
        let tint = match (is_wanted(Kind::Tint), tint::is_there()) {
            (true, true) => Ok(Tint::start().context("starting Tint")?),
            (true, false) => Err("no node, or no npm package `webgpu`".into()),
            (false, _) => Err(not_asked()),
        };
        let spirv_val = if is_wanted(Kind::SpirvVal) {
            SpirvVal::find().ok_or_else(|| "no spirv-val".to_string())
        } else {
            Err(not_asked())
        };
        let dxc = match dxc {
            _ if !is_wanted(Kind::Dxc) => Err(not_asked()),
            Some(folder) => Ok(Dxc::start(folder.to_path_buf(), number).context("starting DXC")?),
            None => Err(format!("no {}", dxc::missing().unwrap_or_default())),
        };
        Ok(Self { tint, spirv_val, dxc, msl: is_wanted(Kind::Msl) })
    }

    /// Name and version of a compiler, or why it is not there.
    pub(super) fn name(&self, kind: Kind) -> Result<String, String> {
        let named = |e: &String| Err(e.clone());
        match kind {
            Kind::Tint => self.tint.as_ref().map_or_else(named, |t| Ok(t.name())),
            Kind::SpirvVal => self.spirv_val.as_ref().map_or_else(named, |t| Ok(t.name())),
            Kind::Dxc => self.dxc.as_ref().map_or_else(named, |t| Ok(t.name())),
            Kind::Msl if self.msl => Ok("naga's writer".into()),
            Kind::Msl => Err("not asked for".into()),
        }
    }
}

/// What a compiler says about a variant.
pub(super) enum Verdict {
    /// Accepted.
    Passed,
    /// Refused: why.
    Failed(String),
    /// The compiler cannot know: why.
    NotChecked(&'static str),
}

/// A verdict, and how long it took.
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) variant: String,
    pub(super) verdict: Verdict,
    pub(super) seconds: f64,
}

/// Forms in which a step runs: only proven ones are trusted.
fn forms(step: &Step) -> impl Iterator<Item = Checks> {
    let proven = step.proven;
    BOTH.into_iter().filter(move |c| *c == Checks::On || proven)
}

fn spirv_all(spirv_val: &SpirvVal, step: &Step, module: &Module) -> Result<()> {
    // wgpu has matrix units on new drivers only
    let with = |checks| checks == Checks::On || step.proven;
    for form in FORMS.iter().filter(|f| with(f.checks) && (!step.matrix || f.is_new())) {
        let words = spirv::written(module, form.options())?;
        spirv_val.check(&words, form)?;
    }
    Ok(())
}

fn dxc_all(dxc: &mut Dxc, step: &Step, module: &Module) -> Result<()> {
    for checks in forms(step) {
        let form = if checks == Checks::On { "checked" } else { "trusted" };
        let hlsl = written::hlsl(module, step.f16, checks).context(form)?;
        dxc.check(&hlsl).context(form)?;
    }
    Ok(())
}

fn msl_all(step: &Step, module: &Module) -> Result<()> {
    for checks in forms(step) {
        let text = written::msl(module, checks)?;
        if !text.contains("kernel void") {
            return Err(anyhow!("writing MSL: there is no kernel in it"));
        }
    }
    Ok(())
}

impl Tools {
    /// Asks those of these compilers that are there about a step.
    pub(super) fn ask(&mut self, step: &Step, kinds: &[Kind]) -> Vec<Said> {
        let mut all = Vec::new();
        let mut say = |kind, verdict, seconds| all.push(Said { kind, variant: step.name.clone(), verdict, seconds });
        let module = match link(step) {
            Ok(module) => module,
            Err(e) => {
                kinds.iter().for_each(|&kind| say(kind, Verdict::Failed(format!("naga: {e}")), 0.0));
                return all;
            }
        };
        for &kind in kinds {
            let clock = Instant::now();
            let Some(verdict) = self.verdict(kind, step, &module) else { continue };
            say(kind, verdict, clock.elapsed().as_secs_f64());
        }
        all
    }

    /// What one compiler says; nothing if it is not there.
    fn verdict(&mut self, kind: Kind, step: &Step, module: &Module) -> Option<Verdict> {
        let answer = match kind {
            Kind::Tint => {
                let tint = self.tint.as_mut().ok()?;
                if step.matrix {
                    return Some(Verdict::NotChecked("browsers have no `enable wgpu_cooperative_matrix`"));
                }
                tint.check(module)
            }
            Kind::SpirvVal => {
                let spirv_val = self.spirv_val.as_ref().ok()?;
                if step.matrix && !spirv_val.knows_matrices() {
                    return Some(Verdict::NotChecked("this spirv-val is too old for cooperative matrices"));
                }
                spirv_all(spirv_val, step, module)
            }
            Kind::Dxc => {
                let dxc = self.dxc.as_mut().ok()?;
                if step.matrix {
                    return Some(Verdict::NotChecked("wgpu has no cooperative matrices on Direct3D 12"));
                }
                dxc_all(dxc, step, module)
            }
            Kind::Msl if self.msl => msl_all(step, module),
            Kind::Msl => return None,
        };
        Some(answer.map_or_else(|e| Verdict::Failed(format!("{e:#}")), |()| Verdict::Passed))
    }
}
