//! What the compilers need: by apt Wine, a C compiler for Windows and spirv-val; by npm Dawn, which has Tint and DXC.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::spirv_val::{SpirvVal, prefix};
use super::tint::{PACKAGE, is_there, tint_folder};
use crate::setup::{self, Package};
use crate::shell;

const PACKAGES: [Package; 5] = [
    Package { name: "spirv-tools", what: "spirv-val, which validates SPIR-V", optional: false },
    Package { name: "wine64", what: "Wine, which runs DXC", optional: false },
    Package { name: "gcc-mingw-w64-x86-64", what: "compiles the program that calls DXC", optional: false },
    Package { name: "nodejs", what: "runs Tint", optional: false },
    Package { name: "npm", what: "installs Tint", optional: false },
];

/// Whether a package's program is there already, from wherever.
fn is_found(package: &Package) -> bool {
    match package.name {
        "nodejs" => shell::has("node"),
        other => shell::has(other),
    }
}

/// Installs what is missing.
///
/// # Errors
/// If there is no apt or npm, or they fail.
pub(super) fn install() -> Result<()> {
    let missing: Vec<_> = setup::missing(&PACKAGES).into_iter().filter(|p| !is_found(p)).collect();
    if !missing.is_empty() {
        if !shell::has("apt-get") {
            let names: Vec<_> = missing.iter().map(|p| p.name).collect();
            bail!("there is no apt-get; of Debian's packages these are missing: {}", names.join(", "));
        }
        println!("Installing compilers:");
        setup::install(&missing)?;
    }
    if SpirvVal::find().is_none_or(|s| !s.knows_matrices()) {
        newer_spirv_val().context("fetching a spirv-val that knows cooperative matrices")?;
    }
    if is_there() {
        return Ok(());
    }
    let folder = tint_folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", PACKAGE, "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    println!("  $ {}", shell::typed(&npm));
    shell::run(&mut npm)
}

/// The Debian release whose spirv-val knows cooperative matrices.
const NEWER: &str = "trixie";

/// The mirror that this machine already uses.
fn mirror() -> Option<String> {
    let text = std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("URIs:"))?;
    line.split_whitespace().next().map(Into::into)
}

/// Downloads a later Debian's spirv-val with its own C library into a folder of this repository's `target`; nothing of the system changes. An
/// older one serves for all but matrices, so where this is no Debian it is left at that.
fn newer_spirv_val() -> Result<()> {
    let Some(mirror) = mirror() else {
        println!("  the spirv-val that knows cooperative matrices is not fetched: this is no Debian");
        return Ok(());
    };
    let (prefix, apt) = (prefix()?, super::folder()?.join("apt"));
    for folder in ["parts", "lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(folder)).with_context(|| format!("making {}", apt.join(folder).display()))?;
    }
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let source = format!("Types: deb\nURIs: {mirror}\nSuites: {NEWER}\nComponents: main\nSigned-By: {key}\n");
    super::write_if_new(&apt.join("parts/later.sources"), source.as_bytes())?;
    super::write_if_new(&apt.join("status"), b"")?;
    apt_get(&apt, &["update"])?;
    apt_get(&apt, &["install", "-y", "--download-only", "--no-install-recommends", "spirv-tools"])?;
    let archives = std::fs::read_dir(apt.join("cache/archives")).context("reading what was downloaded")?;
    for path in archives.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "deb")) {
        shell::run(Command::new("dpkg-deb").arg("-x").args([&path, &prefix]))?;
    }
    Ok(())
}

/// apt-get with all that it keeps in this folder.
fn apt_get(folder: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    let at = |name: &str, below: &str| format!("{name}={}", folder.join(below).display());
    let options = [
        "Dir::Etc::sourcelist=/dev/null".into(),
        at("Dir::Etc::sourceparts", "parts"),
        at("Dir::State::lists", "lists"),
        at("Dir::Cache", "cache"),
        at("Dir::State::status", "status"),
        "APT::Sandbox::User=root".into(),
        "Debug::NoLocking=1".into(),
        "Acquire::Languages=none".into(),
    ];
    for option in &options {
        command.args(["-o", option]);
    }
    println!("  $ apt-get {} (of {NEWER}, into {})", args.join(" "), folder.display());
    shell::run(command.arg("-qq").args(args))
}
