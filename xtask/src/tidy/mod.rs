//! `cargo xtask check`: what no compiler checks.

mod door;
mod one_build;
mod order;
mod sizes;
mod strip;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{docs, shell};

/// `cargo xtask check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {}

/// A checked file of this repository.
pub(crate) struct Checked {
    /// Path below the root, with forward slashes.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Checked {
    /// The first lines, where a file says why it is longer than the rule.
    fn header(&self) -> String {
        self.text.lines().take(15).collect::<Vec<_>>().join("\n")
    }

    /// Whether the header gives a reason for being over a cap.
    pub(crate) fn is_excused(&self) -> bool {
        self.header().contains("Over the cap:")
    }

    /// Whether its name ends like this.
    pub(crate) fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }
}

/// Folders that are not ours to check, or not text.
const LEFT_OUT: [&str; 3] = ["target", ".git", "golden"];

fn collect(folder: &Path, root: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("reading a folder")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                collect(&path, root, found)?;
            }
        } else {
            found.push(path.strip_prefix(root).unwrap_or(&path).to_path_buf());
        }
    }
    Ok(())
}

/// Every text file of the repository, by path.
fn files() -> Result<Vec<Checked>> {
    let root = shell::root();
    let mut paths = Vec::new();
    collect(&root, &root, &mut paths)?;
    paths.sort();
    let texts = [".rs", ".wgsl", ".md", ".toml", ".py", "run", ".json"];
    let mut found = Vec::new();
    for path in paths {
        let name = path.to_string_lossy().replace('\\', "/");
        if texts.iter().any(|t| name.ends_with(t)) {
            let text = std::fs::read_to_string(root.join(&path)).with_context(|| format!("reading {name}"))?;
            found.push(Checked { path: name, text });
        }
    }
    Ok(found)
}

/// Crate roots.
const ROOTS: [&str; 8] = [
    "crates/core/src/lib.rs",
    "crates/cpu-ref/src/lib.rs",
    "shaders/src/lib.rs",
    "tests/harness/lib.rs",
    "benches/src/lib.rs",
    "benches/peers/src/main.rs",
    "xtask/src/main.rs",
    "crates/wgpu-backend/src/lib.rs",
];

/// Where unsafe code may stand: what calls a driver. The backend, and the module of `cargo xtask isa` that asks a driver for its machine
/// code, which wgpu has no call for.
const UNSAFE: [&str; 2] = ["crates/wgpu-backend/", "xtask/src/isa/vulkan.rs"];

/// Whether a file may hold unsafe code.
pub(crate) fn may_be_unsafe(path: &str) -> bool {
    UNSAFE.iter().any(|place| path.starts_with(place))
}

/// Every crate root says whether there may be unsafe code in the crate: those of [`UNSAFE`] deny it, and allow it with reasons; the others
/// forbid it.
fn unsafe_attributes(files: &[Checked]) -> Vec<String> {
    let says = |path: &str, text: &str| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let denies = UNSAFE.iter().any(|place| place.starts_with(folder) || path.starts_with(place));
        let wanted = if denies { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        (!text.contains(wanted)).then(|| format!("{path}: expected {wanted}"))
    };
    let lookup = |path: &str| match files.iter().find(|f| f.path == path) {
        Some(f) => says(path, &f.text),
        None => Some(format!("{path}: expected a crate root here")),
    };
    ROOTS.iter().filter_map(|path| lookup(path)).collect()
}

/// Everything that is wrong, in words, with how many checks were made.
pub(crate) fn faults() -> Result<(usize, Vec<String>)> {
    let files = files()?;
    let mut faults = order::faults()?;
    faults.extend(one_build::faults()?);
    faults.extend(door::faults(&files));
    faults.extend(sizes::faults(&files));
    faults.extend(words::faults(&files));
    faults.extend(unsafe_attributes(&files));
    faults.extend(docs::stale()?);
    Ok((files.len(), faults))
}

impl Check {
    #[allow(clippy::unused_self, reason = "every task is run in the same way")]
    pub(crate) fn run(&self) -> Result<u8> {
        let (files, faults) = faults()?;
        for fault in &faults {
            println!("{fault}");
        }
        println!("check: {files} files, {} faults", faults.len());
        Ok(u8::from(!faults.is_empty()))
    }
}
