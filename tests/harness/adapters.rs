//! Which drivers this machine has.
//!
//! The Vulkan loader shows only what its environment allows, so each driver is tested in a process of its own,
//! which [`Driver::alone_in`] makes see no other.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A driver, by the file that announces it to the Vulkan loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Short name for headings: `lvp_icd`, `vk_swiftshader_icd`.
    pub name: String,
    /// The announcing file; `None` is whatever the system finds by itself.
    pub icd: Option<PathBuf>,
}

/// Where packages announce their drivers.
const FOLDERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// Drivers that a package installs outside those folders: SwiftShader comes with Chromium.
const FILES: [&str; 2] = ["/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib64/chromium/vk_swiftshader_icd.json"];

impl Driver {
    fn at(icd: PathBuf) -> Self {
        let stem = icd.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        // Mesa appends the processor: `lvp_icd.x86_64`.
        let name = stem.split('.').next().unwrap_or_default().to_owned();
        Self { name, icd: Some(icd) }
    }

    /// Makes a command see only this driver: no adapter at all if the driver's hardware is absent.
    pub fn alone_in<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match &self.icd {
            // Loaders before 1.3.207 know the second name only.
            Some(icd) => command.env("VK_DRIVER_FILES", icd).env("VK_ICD_FILENAMES", icd),
            None => command,
        }
    }
}

/// JSON files of a folder that announce a driver for this processor, by name.
fn announced(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| is_own(p)).collect();
    found.sort();
    found
}

/// Whether a file is JSON and its name does not speak of another processor.
fn is_own(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let own = std::env::consts::ARCH;
    let others = ["i686", "i386", "x86_64", "aarch64", "armv7l"].iter().filter(|&&a| a != own);
    name.ends_with(".json") && !others.into_iter().any(|a| name.contains(a))
}

/// Every driver that is announced on this machine, present hardware or not. One nameless driver where nothing is announced by file:
/// other systems find theirs in other ways.
pub fn installed_drivers() -> Vec<Driver> {
    let mut files: Vec<PathBuf> = FOLDERS.iter().flat_map(|f| announced(Path::new(f))).collect();
    files.extend(FILES.iter().map(PathBuf::from).filter(|p| p.exists()));
    if files.is_empty() {
        return vec![Driver { name: "system".into(), icd: None }];
    }
    files.into_iter().map(Driver::at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(Driver::at("/x/lvp_icd.x86_64.json".into()).name, "lvp_icd");
        assert_eq!(Driver::at("/x/vk_swiftshader_icd.json".into()).name, "vk_swiftshader_icd");
    }

    #[test]
    fn there_is_always_something_to_try() {
        assert!(!installed_drivers().is_empty());
    }
}
