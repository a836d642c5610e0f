//! Verdicts between processes: what probes and self-tests found, by adapter and driver, for one version of this crate and of wgpu.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{PathStatus, PathVerdict, Probe};
use crate::{AdapterSummary, whole_file};

/// Version of wgpu and of naga, its compiler, that kernels pass through; a test compares it with the lock file.
const COMPILER: &str = "wgpu 30.0.1, naga 30.0.1";

/// What became of [`Options::verdict_file`](crate::Options::verdict_file).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerdictFile {
    /// None was given.
    Off,
    /// It says nothing of this adapter and driver yet, or there is no file: the adapter was probed, and the file has it now.
    New,
    /// The adapter was not probed: its verdicts are from the file.
    Loaded,
    /// It was passed over, the adapter was probed, and the file has been replaced.
    Ignored {
        /// Why, in words.
        reason: String,
    },
    /// The adapter was probed, but the file could not be written. The verdicts are in force all the same.
    NotSaved {
        /// What the file system says.
        reason: String,
    },
}

impl fmt::Display for VerdictFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("no file"),
            Self::New => f.write_str("new in the file"),
            Self::Loaded => f.write_str("from the file"),
            Self::Ignored { reason } => write!(f, "the file was passed over and replaced ({reason})"),
            Self::NotSaved { reason } => write!(f, "the file could not be written ({reason})"),
        }
    }
}

/// What is known of one adapter with one driver.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    adapter: String,
    driver: String,
    driver_info: String,
    backend: String,
    /// By the features that the device was opened with.
    pub(super) probes: BTreeMap<String, Probe>,
    pub(super) tiles: Vec<PathVerdict>,
}

impl Known {
    fn new(info: &AdapterSummary) -> Self {
        let AdapterSummary { name, driver, driver_info, backend, .. } = info.clone();
        Self { adapter: name, driver, driver_info, backend, ..Self::default() }
    }

    /// Whether it is of that adapter and driver, of whatever version.
    fn alike(&self, other: &Self) -> bool {
        (&self.adapter, &self.driver, &self.backend) == (&other.adapter, &other.driver, &other.backend)
    }
}

/// The file: all adapters that were opened with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdicts {
    crate_version: String,
    compiler: String,
    /// Hash of the probe's kernels.
    kernels: String,
    adapters: Vec<Known>,
}

/// Hash of the kernels whose findings a file keeps (FNV-1a).
fn kernels() -> String {
    let texts = [
        include_str!("accuracy.wgsl"),
        include_str!("attention.wgsl"),
        include_str!("f16.wgsl"),
        include_str!("matrix.wgsl"),
        include_str!("rate.wgsl"),
        include_str!("stale.wgsl"),
        include_str!("subgroups.wgsl"),
        include_str!("unchecked.wgsl"),
    ];
    let bytes = texts.iter().flat_map(|t| t.bytes());
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    format!("{hash:016x}")
}

impl Verdicts {
    fn new() -> Self {
        let crate_version = env!("CARGO_PKG_VERSION").into();
        Self { crate_version, compiler: COMPILER.into(), kernels: kernels(), adapters: Vec::new() }
    }

    /// The file at that path; `None` if there is none. The error is why it says nothing here.
    fn read(path: &Path) -> Result<Option<Self>, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{}: {e}", path.display())),
        };
        let read: Self = serde_json::from_str(&text).map_err(|e| format!("it holds no verdicts: {e}"))?;
        let here = Self::new();
        let differs = [
            ("version", &read.crate_version, &here.crate_version),
            ("compiler", &read.compiler, &here.compiler),
            ("self-tests", &read.kernels, &here.kernels),
        ];
        let differs = differs.into_iter().find(|(_, theirs, ours)| theirs != ours);
        match differs.map(|(what, theirs, ours)| format!("it is for {what} [{theirs}], this is [{ours}]")) {
            Some(reason) => Err(reason),
            None => Ok(Some(read)),
        }
    }
}

/// What a file knows of an adapter. The error is why it knows nothing that counts here.
pub(super) fn load(path: &Path, info: &AdapterSummary) -> Result<Option<Known>, String> {
    let Some(read) = Verdicts::read(path)? else { return Ok(None) };
    let here = Known::new(info);
    let Some(known) = read.adapters.into_iter().find(|k| k.alike(&here)) else { return Ok(None) };
    if known.driver_info != here.driver_info {
        return Err(format!("it is for driver version [{}], this is [{}]", known.driver_info, here.driver_info));
    }
    Ok(Some(known))
}

/// Changes what a file knows of an adapter. What it knows of others stays, unless it cannot be read.
pub(super) fn save(path: &Path, info: &AdapterSummary, change: impl FnOnce(&mut Known)) -> std::io::Result<()> {
    let mut all = Verdicts::read(path).ok().flatten().unwrap_or_else(Verdicts::new);
    let here = Known::new(info);
    let at = all.adapters.iter().position(|k| k.alike(&here));
    let known = at.map(|at| all.adapters.remove(at)).filter(|k| k.driver_info == here.driver_info);
    let mut known = known.unwrap_or(here);
    change(&mut known);
    all.adapters.push(known);
    let text = serde_json::to_string_pretty(&all).map_err(std::io::Error::other)?;
    whole_file::replace(path, &text)
}

/// Adds the verdict on a tile, in place of an earlier one.
pub(super) fn set_tile(tiles: &mut Vec<PathVerdict>, verdict: PathVerdict) {
    tiles.retain(|known| known.path != verdict.path);
    if matches!(verdict.status, PathStatus::Passed | PathStatus::Failed { .. }) {
        tiles.push(verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_that_of_the_lock_file() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        let version = |name: &str| {
            let from = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap().1;
            from.split_once('"').unwrap().0.to_owned()
        };
        assert_eq!(COMPILER, format!("wgpu {}, naga {}", version("wgpu"), version("naga")));
    }
}
