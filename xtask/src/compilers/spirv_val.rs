//! `spirv-val` of Khronos' SPIRV-Tools: whether what naga writes is SPIR-V that a Vulkan driver must accept.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use naga::back::spv;
use naga::proc::BoundsCheckPolicy;

use crate::isa::spirv::{Checks, options};

/// The first version that knows cooperative matrices, by year and number.
const KNOWS_MATRICES: (u32, u32) = (2024, 1);

/// How wgpu has a module written on some kind of driver.
pub(super) struct Form {
    /// In messages.
    pub(super) name: &'static str,
    /// Whether wgpu is told to trust the module.
    pub(super) checks: Checks,
    /// What the validator is told.
    environment: &'static str,
    version: (u8, u8),
    /// Whether the driver bounds buffers and zeroes workgroup memory by itself.
    robust: bool,
}

/// The oldest driver that has subgroups, with naga's checks and without; and a new one, to which naga leaves more.
pub(super) const FORMS: [Form; 3] = [
    Form { name: "checked", checks: Checks::On, environment: "vulkan1.1", version: (1, 3), robust: false },
    Form { name: "trusted", checks: Checks::Off, environment: "vulkan1.1", version: (1, 3), robust: false },
    Form { name: "checked, new driver", checks: Checks::On, environment: "vulkan1.3", version: (1, 6), robust: true },
];

impl Form {
    /// Whether the driver is a new one.
    pub(super) fn is_new(&self) -> bool {
        self.version >= (1, 6)
    }

    /// wgpu's options.
    pub(super) fn options(&self) -> spv::Options<'static> {
        let mut options = options(self.checks);
        options.lang_version = self.version;
        if self.checks == Checks::On && !self.robust {
            options.bounds_check_policies.buffer = BoundsCheckPolicy::Restrict;
            options.zero_initialize_workgroup_memory = spv::ZeroInitializeWorkgroupMemoryMode::Polyfill;
        }
        options
    }
}

/// The validator.
#[derive(Debug, Clone)]
pub(super) struct SpirvVal {
    /// Program, and arguments before its own.
    words: Vec<OsString>,
    version: (u32, u32),
}

/// Where a later one is put, beside the system's.
pub(super) fn prefix() -> Result<PathBuf> {
    Ok(super::folder()?.join("spirv-tools"))
}

/// Reads `SPIRV-Tools v2023.1 unknown hash, …`.
fn version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find_map(|w| w.strip_prefix('v'))?;
    let (year, number) = word.split_once('.')?;
    Some((year.parse().ok()?, number.trim_end_matches("-dev").parse().ok()?))
}

impl SpirvVal {
    /// The later one that `--install` fetched, else the system's.
    pub(super) fn find() -> Option<Self> {
        let prefix = prefix().ok()?;
        let libraries = prefix.join("usr/lib/x86_64-linux-gnu");
        // with the loader of its own C library
        let loader = prefix.join("usr/lib64/ld-linux-x86-64.so.2");
        let later = [loader.into(), "--library-path".into(), libraries.into(), prefix.join("usr/bin/spirv-val").into()];
        Self::at(later.to_vec()).or_else(|| Self::at(vec!["spirv-val".into()]))
    }

    fn at(words: Vec<OsString>) -> Option<Self> {
        let out = Command::new(&words[0]).args(&words[1..]).arg("--version").stderr(Stdio::null()).output().ok()?;
        let version = version(&String::from_utf8_lossy(&out.stdout)).unwrap_or_default();
        out.status.success().then_some(Self { words, version })
    }

    /// Which one it is.
    pub(super) fn name(&self) -> String {
        format!("spirv-val {}.{}", self.version.0, self.version.1)
    }

    /// Whether it knows cooperative matrices.
    pub(super) fn knows_matrices(&self) -> bool {
        self.version >= KNOWS_MATRICES
    }

    /// Validates a module.
    ///
    /// # Errors
    /// What it says.
    pub(super) fn check(&self, words: &[u32], form: &Form) -> Result<()> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(["--target-env", form.environment]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting spirv-val")?;
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        // It reads all before it says anything. If it stops reading, its status says why.
        let sent = child.stdin.take().map(|mut stdin| stdin.write_all(&bytes));
        let out = child.wait_with_output().context("waiting for spirv-val")?;
        if !out.status.success() || sent.is_some_and(|s| s.is_err()) {
            let said = [out.stdout, out.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
            bail!("{}: {}", form.name, said.lines().next().unwrap_or("no message"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("SPIRV-Tools v2023.1 unknown hash, 2022\nTargets:"), Some((2023, 1)));
        assert_eq!(version("SPIRV-Tools v2025.2-dev v2025"), Some((2025, 2)));
        assert_eq!(version("?"), None);
    }
}
