//! A process of its own per family: the driver reads the family from its environment once, and may crash over a shader.
//!
//! The worker is this program with a hidden subcommand. It greets with a line of JSON, then answers a line of JSON with a line of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::driver::{Family, Radv};
use super::vulkan::Compiler;
use crate::shell;

/// Name of the hidden subcommand.
pub(super) const SUBCOMMAND: &str = "isa-worker";

/// A buffer of the shader.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Slot {
    /// Number of the binding.
    pub(super) at: u32,
    /// Uniform, or else storage.
    pub(super) uniform: bool,
}

/// A shader to compile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    /// Its words.
    pub(super) spirv: Vec<u32>,
    /// Its buffers, all of set 0.
    pub(super) bindings: Vec<Slot>,
}

/// What the driver says about itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// Name of the device.
    pub(super) device: String,
    /// Name and version of the driver: `Mesa 22.3.6`.
    pub(super) driver: String,
    /// Whether it has cooperative matrices for this family.
    pub(super) matrix: bool,
}

/// What became of a shader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The driver's statistics by its own names.
    pub(super) statistics: Vec<(String, u64)>,
    /// Lanes of a wave.
    pub(super) subgroup: u32,
    /// The disassembly.
    pub(super) assembly: String,
}

type Line<T> = Result<T, String>;

/// `cargo xtask isa-worker`.
#[derive(Debug, clap::Args)]
pub(crate) struct Worker {}

impl Worker {
    #[allow(clippy::unused_self, reason = "every task is run in the same way")]
    pub(crate) fn run(&self) -> Result<u8> {
        let mut out = std::io::stdout().lock();
        let mut say = |line: String| -> Result<()> {
            writeln!(out, "{line}").and_then(|()| out.flush()).context("writing an answer")
        };
        let opened = Compiler::open().map_err(|e| format!("{e:#}"));
        say(serde_json::to_string(&opened.as_ref().map(|c| c.greeting.clone()))?)?;
        let Ok(compiler) = opened else { return Ok(0) };
        for line in std::io::stdin().lock().lines() {
            let request: Request = serde_json::from_str(&line.context("reading a request")?)?;
            say(serde_json::to_string(&compiler.compile(&request).map_err(|e| format!("{e:#}")))?)?;
        }
        Ok(0)
    }
}

/// A worker seen from the process that started it.
pub(super) struct Remote {
    radv: Radv,
    family: Family,
    process: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Remote {
    /// Starts a worker for a family and hears what the driver says about itself.
    ///
    /// # Errors
    /// If the driver cannot be used: why, in words.
    pub(super) fn start(radv: &Radv, family: Family) -> Result<(Self, Greeting)> {
        let mut remote = Self { radv: radv.clone(), family, process: None };
        let greeting = remote.spawn()?;
        Ok((remote, greeting))
    }

    fn spawn(&mut self) -> Result<Greeting> {
        let mut command: Command = shell::again()?;
        command.arg(SUBCOMMAND).envs(self.radv.environment(self.family));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting a worker")?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a worker without pipes");
        };
        let mut stdout = BufReader::new(stdout);
        let greeting: Result<Line<Greeting>> = hear(&mut stdout);
        match greeting {
            Ok(Ok(greeting)) => {
                // What the driver writes from now on is of no interest, but it must not wait for a reader.
                if let Some(mut noise) = child.stderr.take() {
                    std::thread::spawn(move || std::io::copy(&mut noise, &mut std::io::sink()));
                }
                self.process = Some((child, stdin, stdout));
                Ok(greeting)
            }
            other => {
                drop(stdin);
                let noise = child.wait_with_output().map(|o| String::from_utf8_lossy(&o.stderr).into_owned());
                let why = match other {
                    Ok(Err(why)) => why,
                    _ => "the driver ended the process".into(),
                };
                bail!("{}", refusal(&why, &noise.unwrap_or_default()))
            }
        }
    }

    /// Has a shader compiled. A crash is this shader's failure; the next one gets a new process.
    ///
    /// # Errors
    /// If the driver refuses the shader or crashes over it.
    pub(super) fn compile(&mut self, request: &Request) -> Result<Answer> {
        if self.process.is_none() {
            self.spawn()?;
        }
        let Some((_, stdin, stdout)) = &mut self.process else { bail!("no worker") };
        let line = serde_json::to_string(request)?;
        let sent = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        let heard: Result<Line<Answer>> = sent.context("sending a shader").and_then(|()| hear(stdout));
        match heard {
            Ok(answer) => answer.map_err(|why| anyhow!(why)),
            Err(_) => Err(self.buried()),
        }
    }

    /// The process is gone: how.
    fn buried(&mut self) -> anyhow::Error {
        let status = self.process.take().map(|(mut child, stdin, _)| {
            drop(stdin);
            child.wait()
        });
        match status {
            Some(Ok(status)) => anyhow!("the driver crashed over this shader ({status})"),
            _ => anyhow!("the driver crashed over this shader"),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.process.is_some() {
            // A worker ends when its input does.
            let _ = self.buried();
        }
    }
}

/// Why a driver cannot be used: what the worker says and what the driver wrote.
fn refusal(why: &str, noise: &str) -> String {
    if noise.contains("has been removed") {
        return "this Mesa has no null device any more (RADV_FORCE_FAMILY was removed in Mesa 26): name an older one with --driver".into();
    }
    let mut said: Vec<_> = noise.lines().filter(|l| l.contains("radv") || l.contains("ERROR")).map(str::trim).collect();
    said.dedup();
    if said.is_empty() { why.into() } else { format!("{why}; {}", said.join("; ")) }
}

fn hear<T: for<'de> Deserialize<'de>>(from: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    if from.read_line(&mut line).context("reading an answer")? == 0 {
        bail!("no answer");
    }
    serde_json::from_str(&line).context("reading an answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_a_null_device_is_told_apart() {
        let removed = "radv: RADV_FORCE_FAMILY=<family> has been removed. Please use AMDGPU drm-shim now.";
        assert!(refusal("no driver", removed).contains("removed in Mesa 26"));
        assert_eq!(refusal("ended", "x\nradv: Unknown family: A\n"), "ended; radv: Unknown family: A");
    }
}
