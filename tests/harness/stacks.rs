//! Stacks to test on: an implementation of WebGPU on a driver, and how a process is started that sees this driver only.
//!
//! What the system's packages install is found by [`installed_drivers`]; newer drivers in folders of their own and Dawn are under
//! `target/stacks`, where `cargo xtask setup --stacks` puts them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatefold_cpu_ref::case::HALVES;
use gatefold_wgpu::{Gpu, Options, RunError};

use crate::adapters::{Driver, installed_drivers};
use crate::conformance::Thinned;
use crate::dawn::Dawn;
use crate::executor::Executor;

/// Which program implements WebGPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// wgpu, with naga as the compiler.
    Wgpu,
    /// Dawn, with Tint as the compiler, in a node process.
    Dawn,
}

/// A program loader of a driver that comes with its own C library: programs are started through it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loader {
    file: PathBuf,
    libraries: PathBuf,
}

/// One stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// `lavapipe`, `lavapipe-16`, `mesa-26`, `dawn-swiftshader`, ….
    pub name: String,
    /// Which program implements WebGPU.
    pub runtime: Runtime,
    /// Whether wgpu holds itself to WebGPU as it is written.
    pub strict: bool,
    /// Whether `cargo xtask test` runs it without being asked.
    pub by_default: bool,
    /// Whether it has to open an adapter: software drivers need no hardware.
    pub must_open: bool,
    /// Runs one case in so many.
    pub one_in: u64,
    /// Which of the cases with kernels of their own run: compiling those takes most of the time.
    pub thinned: Option<Thinned>,
    /// Whether it is for the cases of matrix units alone, and has to have some.
    pub matrix: bool,
    /// What the process that loads the driver has in its environment.
    env: Vec<(&'static str, OsString)>,
    loader: Option<Loader>,
}

/// Lanes of a subgroup by the width of lavapipe's vectors, in bits.
const WIDTHS: [(u32, &str); 3] = [(4, "128"), (8, "256"), (16, "512")];

/// Newer Mesas in folders of their own, best first. `cargo xtask setup --stacks` installs the first.
const MESAS: [&str; 2] = ["mesa-26", "mesa-25"];

/// Of these, those with matrix units.
const WITH_MATRIX: &str = MESAS[0];

/// Ops with schedules for matrix units.
const MATRIX_OPS: [&str; 3] = ["attention", "gemm", "grouped_gemm"];

/// Where stacks are installed and keep their caches: `target/stacks`.
pub fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).join("target/stacks")
}

/// The file of the package `webgpu` that node imports.
pub fn dawn_package() -> PathBuf {
    folder().join("dawn/node_modules/webgpu/index.js")
}

/// A name without what the file's makers added: `lavapipe` for `lvp_icd`, `swiftshader` for `vk_swiftshader_icd`.
fn short(driver: &str) -> String {
    match driver.trim_end_matches("_icd").trim_start_matches("vk_") {
        "lvp" => "lavapipe".into(),
        other => other.replace('_', "-"),
    }
}

impl Stack {
    fn on(driver: &Driver) -> Self {
        let name = short(&driver.name);
        // Loaders before 1.3.207 know the second name only.
        let variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
        let icd = driver.icd.iter().flat_map(|icd| variables.map(|v| (v, icd.clone().into_os_string())));
        Self {
            must_open: ["lavapipe", "swiftshader"].contains(&name.as_str()),
            runtime: Runtime::Wgpu,
            strict: false,
            by_default: true,
            one_in: 1,
            thinned: match name.as_str() {
                "swiftshader" => Some(Thinned { attention: 48, others: 6, rest: 5 }),
                name if name == "lavapipe" || MESAS.contains(&name) => {
                    Some(Thinned { attention: 24, others: 3, rest: 19 })
                }
                _ => None,
            },
            matrix: false,
            env: icd.collect(),
            loader: None,
            name,
        }
    }

    /// A Mesa with its own C library in `folder`, if it is there.
    fn in_folder(name: &str, folder: &Path) -> Option<Self> {
        let icd = folder.join("lvp.json");
        let loader = Loader {
            file: folder.join("usr/lib64/ld-linux-x86-64.so.2"),
            libraries: folder.join("usr/lib/x86_64-linux-gnu"),
        };
        if !icd.is_file() || !loader.file.is_file() {
            return None;
        }
        let stack = Self::on(&Driver { name: name.into(), icd: Some(icd) });
        Some(Self { must_open: true, by_default: false, loader: Some(loader), ..stack }.with_cache(name))
    }

    /// Its own folder for compiled shaders: Mesa's cache does not tell widths of vectors apart, and gives one width the other's code.
    fn with_cache(mut self, name: &str) -> Self {
        self.env.push(("MESA_SHADER_CACHE_DIR", folder().join("cache").join(name).into()));
        self
    }

    /// lavapipe with subgroups of 4, 8 and 16.
    fn widths(&self) -> impl Iterator<Item = Self> {
        WIDTHS.into_iter().map(|(lanes, bits)| {
            let name = format!("{}-{lanes}", self.name);
            let mut stack = Self { name: name.clone(), by_default: false, ..self.clone() }.with_cache(&name);
            stack.env.push(("LP_NATIVE_VECTOR_WIDTH", bits.into()));
            stack
        })
    }

    /// wgpu that holds itself to WebGPU as it is written.
    fn strict(&self) -> Self {
        Self { name: format!("{}-strict", self.name), strict: true, one_in: 20, ..self.clone() }
    }

    /// wgpu with the cases for matrix units, on a driver that has some.
    fn matrix(&self) -> Self {
        Self { name: format!("{}-matrix", self.name), matrix: true, one_in: 4, ..self.clone() }
    }

    /// First seed of its cases.
    pub fn first_seed(&self) -> u64 {
        if self.matrix { HALVES } else { 0 }
    }

    /// Whether its driver keeps compiled kernels on disk, for other processes: neither SwiftShader nor Dawn does.
    pub fn keeps_kernels(&self) -> bool {
        self.runtime == Runtime::Wgpu && self.name != "swiftshader"
    }

    /// Whether it has cases of an op.
    pub fn has(&self, op: &str) -> bool {
        !self.matrix || MATRIX_OPS.contains(&op)
    }

    /// Dawn on the same driver.
    fn dawn(&self) -> Self {
        let (name, runtime) = (format!("dawn-{}", self.name), Runtime::Dawn);
        // Dawn wants more of a driver than older ones of the system have.
        let must_open = self.must_open && self.name != "lavapipe";
        Self {
            name,
            runtime,
            by_default: false,
            must_open,
            thinned: Some(Thinned { attention: 48, others: 24, rest: 13 }),
            ..self.clone()
        }
    }

    /// A command that starts `program` so that it sees this driver only.
    fn start(&self, program: impl Into<OsString>) -> Command {
        let mut command = match &self.loader {
            None => Command::new(program.into()),
            Some(Loader { file, libraries }) => {
                let mut command = Command::new(file);
                command.arg("--library-path").arg(libraries).arg(program.into());
                command
            }
        };
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A command that starts a program of this workspace which then calls [`open`](Self::open).
    pub fn process(&self, program: &Path) -> Command {
        match self.runtime {
            Runtime::Wgpu => self.start(program),
            Runtime::Dawn => Command::new(program),
        }
    }

    /// Opens the device, in a process that [`process`](Self::process) has started.
    ///
    /// # Errors
    /// As [`Gpu::open`] and [`Dawn::open`].
    pub fn open(&self, options: &Options) -> Result<Box<dyn Executor>, RunError> {
        match self.runtime {
            Runtime::Wgpu => Ok(Box::new(Gpu::open(&Options { strict: self.strict, ..options.clone() })?)),
            Runtime::Dawn => Ok(Box::new(self.open_dawn(options.checked)?)),
        }
    }

    /// Opens Dawn on the stack's driver. `checked`: as [`Options::checked`].
    ///
    /// # Errors
    /// As [`Dawn::open`].
    pub fn open_dawn(&self, checked: bool) -> Result<Dawn, RunError> {
        let node = which("node").unwrap_or_else(|| "node".into());
        let start = || {
            let mut command = self.start(node.clone());
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/harness/dawn/executor.mjs")).arg(dawn_package());
            if cfg!(target_os = "linux") {
                command.arg("backend=vulkan");
            }
            command
        };
        Dawn::open(start, checked)
    }
}

/// A program by the search path, as a file: a program loader does not search.
pub fn which(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The stacks of these drivers and folders, those that run by default first.
fn all(drivers: &[Driver], folder: &Path, dawn: bool) -> Vec<Stack> {
    let system: Vec<_> = drivers.iter().map(Stack::on).collect();
    let newer: Vec<_> = MESAS.into_iter().filter_map(|name| Stack::in_folder(name, &folder.join(name))).collect();
    let mut found = system.clone();
    if let Some(lavapipe) = system.iter().find(|s| s.name == "lavapipe") {
        found.push(lavapipe.strict());
        found.extend(lavapipe.widths());
    }
    found.extend(newer.iter().cloned());
    found.extend(newer.iter().filter(|s| s.name == WITH_MATRIX).map(Stack::matrix));
    if dawn {
        let mut on: Vec<_> = newer.iter().chain(&system).map(Stack::dawn).collect();
        // One of them by default, on a driver that is sure to be accepted: the newest, with f16; else SwiftShader; else what there is.
        let sure = on.iter().position(|s| s.must_open).unwrap_or(0);
        on.iter_mut().skip(sure).take(1).for_each(|s| s.by_default = true);
        found.extend(on);
    }
    found.sort_by_key(|s| !s.by_default);
    found
}

/// Every stack of this machine, those that run by default first. The hardware of a driver may still be absent.
pub fn installed() -> Vec<Stack> {
    all(&installed_drivers(), &folder(), dawn_package().is_file() && which("node").is_some())
}

/// Dawn on the driver that it runs on by default, if it is installed.
pub fn default_dawn() -> Option<Stack> {
    installed().into_iter().find(|s| s.runtime == Runtime::Dawn && s.by_default)
}

/// The stack of that name.
///
/// # Errors
/// If there is none; names those that there are.
pub fn named(name: &str) -> Result<Stack, String> {
    let all = installed();
    let names = all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = all.iter().find(|s| s.name == name).cloned();
    found.ok_or_else(|| {
        format!("stack: expected one of {names}, got {name}; `cargo xtask setup --stacks` installs more")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drivers() -> Vec<Driver> {
        ["lvp_icd", "radeon_icd", "vk_swiftshader_icd"]
            .map(|name| Driver { name: name.into(), icd: Some(format!("/x/{name}.json").into()) })
            .to_vec()
    }

    #[test]
    fn lavapipe_swiftshader_and_dawn_run_by_default() {
        let found = all(&drivers(), Path::new("/nowhere"), true);
        let (by_default, others): (Vec<_>, Vec<_>) = found.iter().partition(|s| s.by_default);
        let names = |stacks: &[&Stack]| stacks.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&by_default), ["lavapipe", "radeon", "swiftshader", "lavapipe-strict", "dawn-swiftshader"]);
        assert_eq!(names(&others), ["lavapipe-4", "lavapipe-8", "lavapipe-16", "dawn-lavapipe", "dawn-radeon"]);
        assert!(!all(&drivers(), Path::new("/nowhere"), false).iter().any(|s| s.runtime == Runtime::Dawn));
    }

    #[test]
    fn no_two_widths_share_a_cache() {
        let found = all(&drivers(), Path::new("/nowhere"), true);
        let caches: Vec<_> = found
            .iter()
            .filter(|s| s.env.iter().any(|(name, _)| *name == "LP_NATIVE_VECTOR_WIDTH"))
            .map(|s| s.env.iter().find(|(name, _)| *name == "MESA_SHADER_CACHE_DIR").expect("a cache of its own"))
            .collect();
        assert_eq!(caches.len(), 3);
        assert!(caches.iter().enumerate().all(|(i, a)| caches[..i].iter().all(|b| a != b)));
    }

    #[test]
    fn a_stack_that_is_not_there_is_named() {
        let error = named("voodoo").unwrap_err();
        assert!(error.contains("voodoo") && error.contains("expected one of"), "{error}");
    }
}
