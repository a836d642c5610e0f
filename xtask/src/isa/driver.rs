//! Which RADV is used, and for which families of GPUs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;
use gatefold_tests::adapters::installed_drivers;
use serde::{Deserialize, Serialize};

/// A family of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Family {
    /// Radeon RX 7000: dual issue, matrix units
    Rdna3,
    /// Radeon RX 6000
    Rdna2,
    /// Vega
    Gcn5,
}

/// All, newest first.
pub(super) const FAMILIES: [Family; 3] = [Family::Rdna3, Family::Rdna2, Family::Gcn5];

impl Family {
    /// Name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rdna3 => "rdna3",
            Self::Rdna2 => "rdna2",
            Self::Gcn5 => "gcn5",
        }
    }

    /// The smallest subgroup that the driver states: plans make their workgroups of it.
    pub(super) fn wave(self) -> u32 {
        match self {
            Self::Rdna3 | Self::Rdna2 => 32,
            Self::Gcn5 => 64,
        }
    }

    /// Names that versions of the driver know it by, newest first.
    fn forced(self) -> &'static [&'static str] {
        match self {
            Self::Rdna3 => &["NAVI31", "GFX1100"],
            Self::Rdna2 => &["NAVI21"],
            Self::Gcn5 => &["VEGA10"],
        }
    }
}

/// An installed RADV.
#[derive(Debug, Clone)]
pub(super) struct Radv {
    /// The file that announces it to the Vulkan loader.
    icd: PathBuf,
    /// Whether it knows families by their newer names.
    new_names: bool,
}

impl Radv {
    /// The driver of that file, or what is installed.
    ///
    /// # Errors
    /// If there is none: what to do.
    pub(super) fn find(given: Option<&Path>) -> Result<Vec<Self>> {
        let files = match given {
            Some(file) if file.is_file() => vec![std::path::absolute(file)?],
            Some(file) => bail!("{}: no such file", file.display()),
            None => {
                installed_drivers().into_iter().filter(|d| d.name.contains("radeon")).filter_map(|d| d.icd).collect()
            }
        };
        let both = |icd: PathBuf| [true, false].map(|new_names| Self { icd: icd.clone(), new_names });
        Ok(files.into_iter().flat_map(both).collect())
    }

    /// The file that announces it.
    pub(super) fn icd(&self) -> &Path {
        &self.icd
    }

    /// Environment of a process that sees this driver's null device of a family and nothing else.
    pub(super) fn environment(&self, family: Family) -> Vec<(&'static str, OsString)> {
        let names = family.forced();
        let forced = if self.new_names { names.first() } else { names.last() };
        vec![
            ("RADV_FORCE_FAMILY", forced.copied().unwrap_or_default().into()),
            ("VK_DRIVER_FILES", self.icd.clone().into()),
            // Loaders before 1.3.207 know this name only.
            ("VK_ICD_FILENAMES", self.icd.clone().into()),
            // Some versions of the driver say only through the loader why they refuse.
            ("VK_LOADER_DEBUG", "error,warn".into()),
            ("NODEVICE_SELECT", "1".into()),
            ("MESA_SHADER_CACHE_DISABLE", "true".into()),
        ]
    }
}
