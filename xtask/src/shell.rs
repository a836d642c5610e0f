//! Running other programs, and the root of the repository.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use gatefold_tests::stacks::Stack;

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// This program's own file. `main` asks once before anything else: the suite's tests may build this program anew, and Linux then calls the
/// running one's file "… (deleted)".
pub(crate) fn own_file() -> Result<&'static Path> {
    static OWN: OnceLock<std::io::Result<PathBuf>> = OnceLock::new();
    let own = OWN.get_or_init(std::env::current_exe).as_ref();
    own.map(PathBuf::as_path).map_err(|e| anyhow!("finding this program's own file: {e}"))
}

/// This program once more, for work that needs its own process (another driver, a driver that may crash).
pub(crate) fn again() -> Result<Command> {
    let mut command = Command::new(own_file()?);
    command.current_dir(root());
    Ok(command)
}

/// This program once more, on a stack.
pub(crate) fn again_on(stack: &Stack) -> Result<Command> {
    let mut command = stack.process(own_file()?);
    command.current_dir(root());
    Ok(command)
}

/// An example that a build of the workspace has left beside this program. `cargo run --package` would build its dependencies again, with the
/// features of that package alone.
pub(crate) fn built_example(name: &str) -> Result<Command> {
    let folder = own_file()?.parent().unwrap_or(Path::new(".")).join("examples");
    let mut command = Command::new(folder.join(name));
    command.current_dir(root());
    Ok(command)
}

/// The command as one would type it.
pub(crate) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a command with inherited output; an error unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", typed(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", typed(command));
    }
    Ok(())
}

/// The same, shown before it runs.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    println!("  $ {}", typed(command));
    run(command)
}

/// What a command writes, line by line shown as it comes, after `name` if several run at once; and its exit status.
pub(crate) fn tee(command: &mut Command, name: &str) -> Result<(String, Option<i32>)> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("starting {}", typed(command)))?;
    let text = Mutex::new(String::new());
    let keep = |line: &str| {
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend([line, "\n"]);
    };
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            each_line(errors, |line| {
                keep(line);
                eprintln!("{name}{line}");
            })
        });
        let shown = each_line(out, |line| {
            keep(line);
            println!("{name}{line}");
        });
        beside.join().unwrap_or_else(|_| bail!("reading what a command writes panicked")).and(shown)
    })?;
    let status = child.wait().with_context(|| format!("waiting for {}", typed(command)))?;
    Ok((text.into_inner().unwrap_or_else(PoisonError::into_inner), status.code()))
}

/// Calls `tell` for every line, as it comes.
fn each_line(source: Option<impl std::io::Read>, mut tell: impl FnMut(&str)) -> Result<()> {
    for line in source.into_iter().flat_map(|s| BufReader::new(s).split(b'\n')) {
        tell(&String::from_utf8_lossy(&line.context("reading what a command writes")?));
    }
    Ok(())
}

/// Whether a program of that name is on the search path.
pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}
