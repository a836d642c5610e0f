//! `cargo xtask setup --stacks`: stacks beside the system's own drivers, each in a folder below `target/stacks`. Nothing of the system changes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use gatefold_tests::stacks::{self, dawn_package};

use crate::{debian, shell};

/// The npm package of Dawn and its version.
const DAWN: (&str, &str) = ("webgpu", "0.6.2");

/// A newer Mesa: its folder, and the Debian suites that it comes from, the first with its drivers.
const MESA: (&str, [&str; 2]) = ("mesa-26", ["trixie-backports", "trixie"]);

/// Packages whose closure makes a driver that needs nothing of the system, its C library included.
const MESA_PACKAGES: [&str; 2] = ["mesa-vulkan-drivers", "libvulkan1"];

/// Whether Dawn is there in the version that is wanted.
fn has_dawn() -> bool {
    let described = dawn_package().with_file_name("package.json");
    let text = std::fs::read_to_string(described).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    value["version"] == DAWN.1
}

/// Installs Dawn, if node and npm are there; says so where they are not.
pub(crate) fn dawn() -> Result<()> {
    if has_dawn() {
        return Ok(());
    }
    if !shell::has("npm") || !shell::has("node") {
        println!("NOT INSTALLED: Dawn (the npm package {}), as there is no node with npm", DAWN.0);
        return Ok(());
    }
    let folder = stacks::folder().join("dawn");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    println!("Installing Dawn, another implementation of WebGPU (about 100 MB on disk), in {}:", folder.display());
    // What a package would run at its installation is not needed here.
    let flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.args(["install", "--prefix"]).arg(&folder).args(flags).arg(format!("{}@{}", DAWN.0, DAWN.1));
    shell::shown(&mut npm).context("installing Dawn")?;
    if !has_dawn() {
        bail!("npm ended well, but {} is not of version {}", dawn_package().display(), DAWN.1);
    }
    Ok(())
}

/// Announces the driver of a prefix `part` at the place where it will lie.
fn announce(part: &Path, target: &Path) -> Result<()> {
    let announced = part.join("usr/share/vulkan/icd.d");
    let own = std::fs::read_dir(&announced).with_context(|| format!("reading {}", announced.display()))?;
    let is_lavapipe =
        |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lvp_icd"));
    let icd = own.filter_map(|e| Some(e.ok()?.path())).find(is_lavapipe).context("the packages hold no lavapipe")?;
    let mut value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&icd)?)?;
    let library = target.join("usr/lib/x86_64-linux-gnu/libvulkan_lvp.so");
    value["ICD"]["library_path"] = library.to_string_lossy().into_owned().into();
    std::fs::write(part.join("lvp.json"), serde_json::to_string_pretty(&value)?)?;
    Ok(())
}

/// Installs a newer Mesa in its folder, from Debian's suites and with their C library; says so where that cannot be.
pub(crate) fn mesa() -> Result<()> {
    let target = stacks::folder().join(MESA.0);
    if target.join("lvp.json").is_file() {
        return Ok(());
    }
    if !debian::can_fetch() {
        println!("NOT INSTALLED: {}: its packages are Debian's, for x86-64", MESA.0);
        return Ok(());
    }
    println!("Installing {} (70 MB to download, 400 MB on disk) in {}:", MESA.0, target.display());
    let part = target.with_extension("part");
    // What an earlier try has left.
    let _ = std::fs::remove_dir_all(&part);
    debian::fetch(&part, &MESA.1, &MESA_PACKAGES)?;
    announce(&part, &target)?;
    std::fs::rename(&part, &target).with_context(|| format!("moving {} to its place", part.display()))?;
    Ok(())
}
