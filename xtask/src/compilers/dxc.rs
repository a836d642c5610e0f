//! DXC, Microsoft's compiler of HLSL, as wgpu calls it. npm's Dawn brings its Windows library; Wine runs it here, by a small program in C.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::remote::Remote;
use super::tint::tint_folder;
use super::written::Hlsl;
use crate::shell;

/// What calls the library.
const PROGRAM: &str = include_str!("dxc.c");
/// Compiles that for Windows.
const C_COMPILER: &str = "x86_64-w64-mingw32-gcc";
/// Debian keeps this one outside the search path.
const WINE: &str = "/usr/lib/wine/wine64";

fn wine() -> Option<PathBuf> {
    let names = ["wine64", "wine"].into_iter().find(|p| shell::has(p)).map(PathBuf::from);
    names.or_else(|| Path::new(WINE).is_file().then(|| WINE.into()))
}

fn library() -> PathBuf {
    tint_folder().join("node_modules/webgpu/dist/win32-x64/dxcompiler.dll")
}

/// What is missing, in words; nothing if DXC can be asked.
pub(super) fn missing() -> Option<String> {
    let mut all = Vec::new();
    all.extend(wine().is_none().then_some("Wine"));
    all.extend((!shell::has(C_COMPILER)).then_some(C_COMPILER));
    all.extend((!library().is_file()).then_some("dxcompiler.dll of npm's webgpu"));
    (!all.is_empty()).then(|| all.join(", "))
}

/// DXC in a process of its own.
pub(super) struct Dxc {
    remote: Remote,
    folder: PathBuf,
    /// Name of the file that texts are handed over in.
    file: String,
}

/// Builds the program beside the library, and has Wine make its folder, which takes 20 s the first time.
pub(super) fn build() -> Result<PathBuf> {
    let folder = super::folder()?.join("dxc");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (source, program) = (folder.join("dxc.c"), folder.join("dxc.exe"));
    if super::write_if_new(&source, PROGRAM.as_bytes())? || !program.is_file() {
        let mut command = Command::new(C_COMPILER);
        shell::run(command.args(["-O1", "-Wall"]).arg(&source).arg("-o").arg(&program))?;
    }
    let beside = folder.join("dxcompiler.dll");
    if !beside.is_file() {
        std::fs::copy(library(), &beside).with_context(|| format!("copying to {}", beside.display()))?;
    }
    Ok(folder)
}

impl Dxc {
    /// Starts one of several, each with its number. [`build`] comes first, once.
    ///
    /// # Errors
    /// If Wine or the library is broken.
    pub(super) fn start(folder: PathBuf, number: usize) -> Result<Self> {
        let wine = wine().ok_or_else(|| anyhow!("no Wine"))?;
        let at = folder.clone();
        let remote = Remote::start(move || {
            let mut command = Command::new(&wine);
            command.arg("dxc.exe").current_dir(&at);
            // no question, no browser, no window
            command.env("WINEPREFIX", at.join("wine")).env("WINEDEBUG", "-all");
            command.env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
            command
        })?;
        if !remote.greeting.starts_with("ready") {
            bail!("{}", remote.greeting);
        }
        Ok(Self { remote, folder, file: format!("text{}.{number}.hlsl", std::process::id()) })
    }

    /// Which one it is.
    pub(super) fn name(&self) -> String {
        format!("DXC {}", self.remote.greeting.trim_start_matches("ready "))
    }

    /// Compiles a text to DXIL, which DXC validates.
    ///
    /// # Errors
    /// What it says.
    pub(super) fn check(&mut self, hlsl: &Hlsl) -> Result<()> {
        let path = self.folder.join(&self.file);
        std::fs::write(&path, &hlsl.text).with_context(|| format!("writing {}", path.display()))?;
        let half = u8::from(hlsl.half);
        let answer = self.remote.ask(&format!("{}\t{}\t{}\t{half}", self.file, hlsl.target, hlsl.entry))?;
        if answer.starts_with("ok ") {
            return Ok(());
        }
        let lines: Vec<_> = answer.split('\t').map(str::trim).filter(|l| !l.is_empty()).take(3).collect();
        bail!("{}: {}", hlsl.target, lines.join(" | "))
    }
}

impl Drop for Dxc {
    fn drop(&mut self) {
        // left behind it would only take up room
        let _ = std::fs::remove_file(self.folder.join(&self.file));
    }
}
