//! Probe, then trust: what a device may do by its verdicts.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use gatefold_shaders::{Limits, PlanError};

use super::draw::SEED;
use super::file::{self, Known, VerdictFile};
use super::{FastPath, PathStatus, PathVerdict, Probe, measure};
use crate::signal::lock;
use crate::{Gpu, RunError};

/// Verdicts of a device beside its probe's: those on tiles.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) file: VerdictFile,
    pub(super) tiles: Mutex<Vec<PathVerdict>>,
}

impl Default for Trust {
    /// No file, no tile.
    fn default() -> Self {
        Self { file: VerdictFile::Off, tiles: Mutex::default() }
    }
}

/// The optional features of the device in use: what is tested, and so what its verdicts are for.
fn features(gpu: &Gpu) -> String {
    let (info, limits, options) = (gpu.info(), gpu.limits(), gpu.options());
    let subgroup = limits.subgroup.map_or("none".into(), |lanes| lanes.to_string());
    let matrix = match gpu.matrix_unit() {
        Some(unit) => format!("{}x{}", unit.edge, unit.lanes),
        None => if options.matrix { "none" } else { "off" }.into(),
    };
    let (f16, timestamps, checked) = (limits.f16, info.timestamps, options.checked);
    format!("f16={f16} subgroup={subgroup} matrix={matrix} timestamps={timestamps} checked={checked}")
}

/// A probe in this process: of an earlier device if there was one. What a lying kernel brought about is not kept for others, and whoever plans
/// faults wants the calls to be made.
async fn measured(gpu: &Gpu, features: &str) -> Result<Probe, RunError> {
    type Key = [String; 5];
    static KNOWN: OnceLock<Mutex<HashMap<Key, Probe>>> = OnceLock::new();
    if !gpu.options().lies.is_empty() || gpu.options().faults.is_some() {
        return measure::measure(gpu).await;
    }
    let known = KNOWN.get_or_init(Mutex::default);
    let info = gpu.info();
    let key = [&info.name, &info.driver, &info.driver_info, &info.backend].map(String::clone);
    let [name, driver, driver_info, backend] = key;
    let key = [name, driver, driver_info, backend, features.into()];
    if let Some(probe) = lock(known).get(&key) {
        return Ok(probe.clone());
    }
    let probe = measure::measure(gpu).await?;
    lock(known).insert(key, probe.clone());
    Ok(probe)
}

/// The probe of an opened device, from the file if it has it, and what else is known of the adapter.
async fn probed(gpu: &Gpu) -> Result<(Probe, Trust), RunError> {
    let features = features(gpu);
    let path = gpu.options().verdict_file.as_deref();
    let (mut file, mut known) = match path.map(|path| file::load(path, gpu.info())) {
        None => (VerdictFile::Off, Known::default()),
        Some(Ok(known)) => (VerdictFile::New, known.unwrap_or_default()),
        Some(Err(reason)) => (VerdictFile::Ignored { reason }, Known::default()),
    };
    let tiles = Mutex::new(std::mem::take(&mut known.tiles));
    if let Some(probe) = known.probes.remove(&features).filter(|p| p.measured) {
        return Ok((probe, Trust { file: VerdictFile::Loaded, tiles }));
    }
    let probe = measured(gpu, &features).await?;
    // An adapter with an infinite error is tested each time.
    if let Some(path) = path.filter(|_| probe.is_finite()) {
        let keep = probe.clone();
        let saved = file::save(path, gpu.info(), |known| {
            known.probes.insert(features, keep);
        });
        if let Err(e) = saved {
            file = VerdictFile::NotSaved { reason: e.to_string() };
        }
    }
    Ok((probe, Trust { file, tiles }))
}

/// Verdicts of a device that is not probed: none of its paths is tested, so none is taken.
fn unprobed(gpu: &Gpu) -> Probe {
    let there = |there: bool| if there { PathStatus::SwitchedOff } else { PathStatus::NotThere };
    let verdicts = [
        (FastPath::Subgroups, there(gpu.limits().subgroup.is_some())),
        (FastPath::F16, there(gpu.limits().f16)),
        (FastPath::Matrix, PathStatus::SwitchedOff),
        (FastPath::Unchecked, PathStatus::SwitchedOff),
    ];
    let verdicts = verdicts.into_iter().map(|(path, status)| PathVerdict { path, status, seed: SEED }).collect();
    Probe { verdicts, ..Probe::default() }
}

/// Probes a device as its options say: what was found, the limits to plan for, and verdicts on tiles.
///
/// # Errors
/// [`RunError::AdapterUnfit`] if its results cannot be trusted; any fault of the device.
pub(crate) async fn open(gpu: &Gpu) -> Result<(Probe, Limits, Trust), RunError> {
    let mut limits = gpu.limits().clone();
    if !gpu.options().probe {
        let probe = unprobed(gpu);
        probe.trust(&mut limits, gpu.matrix_unit());
        return Ok((probe, limits, Trust::default()));
    }
    let (probe, trust) = probed(gpu).await?;
    if let Some(mut reason) = probe.unfit() {
        if let (VerdictFile::Loaded, Some(path)) = (&trust.file, gpu.options().verdict_file.as_deref()) {
            reason.push_str(&format!(" (kept in {}: without it the adapter is tested again)", path.display()));
        }
        return Err(RunError::AdapterUnfit { adapter: gpu.info().name.clone(), reason });
    }
    probe.apply_to(&mut limits, gpu.matrix_unit());
    Ok((probe, limits, trust))
}

impl Gpu {
    /// The verdict on every fast path of this adapter: those of the probe, and those on tiles that were tried so far.
    pub fn verdicts(&self) -> Vec<PathVerdict> {
        self.probe().verdicts.iter().cloned().chain(lock(&self.trust().tiles).iter().cloned()).collect()
    }

    /// Whether every kernel keeps naga's runtime checks, also where the plan has proven that they catch nothing: as the options ask
    /// ([`Options::checked`](crate::Options::checked)), or since [`FastPath::Unchecked`] has not passed.
    pub fn is_checked(&self) -> bool {
        self.pipelines().is_checked()
    }

    /// What came of [`Options::verdict_file`](crate::Options::verdict_file).
    pub fn verdict_file(&self) -> &VerdictFile {
        &self.trust().file
    }

    /// Why a spec cannot be planned: if for want of f16 that the device has but may not use, that.
    pub(crate) fn explained(&self, error: PlanError) -> RunError {
        let verdict = self.probe().verdicts.iter().find(|v| v.path == FastPath::F16);
        let untrusted = |v: &&PathVerdict| matches!(v.status, PathStatus::Failed { .. } | PathStatus::SwitchedOff);
        match (error, verdict.filter(untrusted)) {
            (PlanError::Feature { operand, feature: "shader-f16" }, Some(verdict)) => {
                RunError::Untrusted { operand, verdict: verdict.to_string() }
            }
            (error, _) => RunError::Plan(error),
        }
    }
}
