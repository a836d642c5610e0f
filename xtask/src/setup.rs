//! What a bare Debian or Ubuntu needs: a Vulkan loader, Mesa's software driver and, as a second driver, SwiftShader.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{shell, stacks};

/// A Debian package, and what it is for.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Left out on distributions that do not have it under this name (Ubuntu ships Chromium as a snap).
    pub(crate) optional: bool,
}

impl Package {
    /// The program that it brings, by which it is found whoever installed it.
    fn program(&self) -> &'static str {
        self.name.trim_end_matches("js")
    }
}

const LOADER: Package = Package { name: "libvulkan1", what: "Vulkan loader", optional: false };
const MESA: Package =
    Package { name: "mesa-vulkan-drivers", what: "Mesa's drivers, with lavapipe (software)", optional: false };
const SWIFTSHADER: Package =
    Package { name: "chromium-common", what: "SwiftShader, a second software driver", optional: true };

/// For Dawn, where there is no node.
const NODE: [Package; 2] = [
    Package { name: "nodejs", what: "node, which Dawn runs in", optional: true },
    Package { name: "npm", what: "npm, which installs Dawn", optional: true },
];

/// `cargo xtask setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Setup {
    /// Only say what is missing; exit with 2 if something is.
    #[arg(long)]
    check: bool,
    /// Also Dawn and a newer Mesa, below target/stacks
    #[arg(long, conflicts_with = "check")]
    stacks: bool,
}

impl Setup {
    /// Installs what is missing.
    pub(crate) fn run(&self) -> Result<u8> {
        if self.stacks {
            drivers_for_tests(true)?;
            gatefold_tests::stacks::installed().iter().for_each(|s| println!("stack {}", s.name));
            return Ok(0);
        }
        let missing = missing(&[LOADER, MESA, SWIFTSHADER]);
        if missing.is_empty() {
            println!("setup: everything is there");
            return Ok(0);
        }
        if self.check {
            tell(&missing);
            return Ok(2);
        }
        install(&missing)?;
        Ok(0)
    }
}

/// Sees to it that there is a Vulkan driver, if apt can. `install` is the user's leave to do so.
pub(crate) fn driver(may_install: bool) -> Result<bool> {
    let wanted = [LOADER, MESA];
    if !may_install || !cfg!(target_os = "linux") || !shell::has("apt-get") {
        println!("There is no GPU driver. {}", advice());
        return Ok(false);
    }
    println!("There is no GPU driver. Installing Mesa's software driver (about 60 MB on disk):");
    install(&wanted)?;
    Ok(true)
}

/// All that the tests run on: packages, and Dawn; with `all` also the stacks that run only if asked for. No error where apt is missing or an
/// optional package does not exist.
pub(crate) fn drivers_for_tests(all: bool) -> Result<()> {
    let mut missing = missing(&[LOADER, MESA, SWIFTSHADER]);
    if !missing.is_empty() && shell::has("apt-get") {
        println!("The tests run on every driver there is. Installing the software drivers that are missing:");
        install(&missing)?;
    } else if !missing.is_empty() {
        tell(&missing);
    }
    missing = NODE.into_iter().filter(|p| cfg!(target_os = "linux") && !shell::has(p.program())).collect();
    if !missing.is_empty() && shell::has("apt-get") {
        println!("The tests run on Dawn too. Installing what it needs:");
        install(&missing)?;
    }
    if let Err(e) = stacks::dawn() {
        println!("NOT INSTALLED: Dawn: {e:#}");
    }
    if all {
        stacks::mesa()?;
    }
    Ok(())
}

/// What to type where nothing is installed for the user.
pub(crate) fn advice() -> String {
    if cfg!(target_os = "macos") || cfg!(target_os = "windows") {
        return "Metal and Direct3D 12 come with the system: update it, or its graphics driver.".into();
    }
    if shell::has("apt-get") {
        return format!("To install Mesa's software driver:\n    {}", apt_line(&[LOADER, MESA]));
    }
    let package = if shell::has("dnf") {
        "dnf install vulkan-loader mesa-vulkan-drivers"
    } else if shell::has("pacman") {
        "pacman -S vulkan-icd-loader vulkan-swrast"
    } else if shell::has("apk") {
        "apk add vulkan-loader mesa-vulkan-swrast"
    } else {
        "your distribution's packages for the Vulkan loader and Mesa's Vulkan drivers (lavapipe)"
    };
    format!("Install one: {package}")
}

/// The apt command for these packages.
fn apt_line(packages: &[Package]) -> String {
    let names = packages.iter().map(|p| p.name).collect::<Vec<_>>().join(" ");
    format!("{}apt-get install --no-install-recommends {names}", if is_root() { "" } else { "sudo " })
}

fn tell(missing: &[Package]) {
    for p in missing {
        println!("missing: {} ({})", p.name, p.what);
    }
    println!("{}", advice());
}

/// The packages that dpkg does not know as installed and whose driver file is not there either.
pub(crate) fn missing(packages: &[Package]) -> Vec<Package> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let there = |p: &Package| installed(p.name) || (p.optional && !known(p.name));
    packages.iter().filter(|p| !there(p)).map(|p| Package { ..*p }).collect()
}

fn quiet(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn installed(package: &str) -> bool {
    quiet("dpkg-query", &["-W", "-f=${Status}", package]).is_some_and(|s| s.contains("install ok installed"))
}

/// Whether apt can install the package. Without package lists nobody knows: then it is tried.
fn known(package: &str) -> bool {
    if !shell::has("apt-get") {
        return false;
    }
    if lists_are_missing() {
        return true;
    }
    quiet("apt-cache", &["policy", package])
        .is_some_and(|s| s.contains("Candidate:") && !s.contains("Candidate: (none)"))
}

fn lists_are_missing() -> bool {
    let lists = std::fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    !lists.into_iter().any(|e| e.file_name().to_string_lossy().contains("_Packages"))
}

fn is_root() -> bool {
    quiet("id", &["-u"]).is_some_and(|s| s.trim() == "0")
}

/// One apt-get call, by root or by sudo, shown before it runs.
fn apt(args: &[&str]) -> Result<()> {
    let mut command = if is_root() {
        let mut c = Command::new("apt-get");
        c.env("DEBIAN_FRONTEND", "noninteractive");
        c
    } else if shell::has("sudo") {
        let mut c = Command::new("sudo");
        c.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        c
    } else {
        bail!("this needs root, and there is no sudo. As root: apt-get {}", args.join(" "));
    };
    command.args(args).stdin(Stdio::null());
    println!("  $ {}", shell::typed(&command));
    shell::run(&mut command)
}

/// Installs packages by apt, and says which and why.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    for p in packages {
        println!("  {}: {}", p.name, p.what);
    }
    let fresh = lists_are_missing();
    if fresh {
        apt(&["update", "-qq"])?;
    }
    let install_named = |packages: &[&Package]| -> Result<()> {
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(packages.iter().map(|p| p.name));
        apt(&args)
    };
    let required: Vec<_> = packages.iter().filter(|p| !p.optional).collect();
    if !required.is_empty() && install_named(&required).is_err() {
        // Package lists may be older than the mirror.
        apt(&["update", "-qq"])?;
        install_named(&required).context("installing packages")?;
    }
    for p in packages.iter().filter(|p| p.optional && known(p.name)) {
        if let Err(e) = install_named(&[p]) {
            println!("  {} could not be installed, going on without {}: {e:#}", p.name, p.what);
        }
    }
    Ok(())
}

/// Rust links with the C compiler's linker: without `cc` nothing builds, and this program would not be here. Build scripts and doc tests
/// need it too, so it is named early where it has gone missing.
pub(crate) fn linker() -> Result<()> {
    if cfg!(target_os = "linux") && !["cc", "gcc", "clang"].iter().any(|p| shell::has(p) || Path::new(p).is_file()) {
        bail!("no C linker (cc): Rust cannot link without one. On Debian or Ubuntu: apt-get install gcc libc6-dev");
    }
    Ok(())
}
