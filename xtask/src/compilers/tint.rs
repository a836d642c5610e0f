//! Tint, the WGSL compiler of Dawn and Chromium: what a browser says about a text. Unlike naga it analyses whether control flow is uniform.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use gatefold_shaders::link::{Module, Origin};
use gatefold_tests::stacks;
use serde::{Deserialize, Serialize};

use super::remote::Remote;
use crate::shell;

/// What asks it, run by node.
const SCRIPT: &str = include_str!("tint.mjs");

/// Where the package of Dawn is installed: below is `node_modules/webgpu`.
pub(super) fn tint_folder() -> PathBuf {
    stacks::folder().join("dawn")
}

/// Whether Tint can be asked.
pub(super) fn is_there() -> bool {
    shell::has("node") && stacks::dawn_package().is_file()
}

/// Limits of the device that a pipeline is made for, by WebGPU's names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Needed {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_compute_workgroup_storage_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_compute_invocations_per_workgroup: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_compute_workgroup_size_x: Option<u32>,
}

impl Needed {
    /// WebGPU's defaults where they suffice.
    fn of(module: &Module) -> Self {
        let over = |needs: u32, default: u32, larger: u32| (needs > default).then_some(larger);
        let invocations = module.workgroup_size.iter().product();
        Self {
            max_compute_workgroup_storage_size: over(module.workgroup_bytes, 16 << 10, 32 << 10),
            max_compute_invocations_per_workgroup: over(invocations, 256, 1024),
            max_compute_workgroup_size_x: over(module.workgroup_size[0], 256, 1024),
        }
    }
}

#[derive(Debug, Serialize)]
struct Question<'a> {
    code: &'a str,
    limits: Needed,
}

#[derive(Debug, Deserialize)]
struct Answer {
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    r#type: String,
    line: usize,
    text: String,
}

/// Tint in a process of its own.
pub(super) struct Tint(Remote);

impl Tint {
    /// Starts it.
    ///
    /// # Errors
    /// If node or the package is broken.
    pub(super) fn start() -> Result<Self> {
        let script = super::folder()?.join("tint.mjs");
        super::write_if_new(&script, SCRIPT.as_bytes())?;
        let remote = Remote::start(move || {
            let mut command = Command::new("node");
            command.arg(&script).arg(tint_folder());
            command
        })?;
        Ok(Self(remote))
    }

    /// Which one it is.
    pub(super) fn name(&self) -> String {
        #[derive(Deserialize)]
        struct Greeting {
            version: String,
        }
        let version = serde_json::from_str::<Greeting>(&self.0.greeting).map(|g| g.version);
        format!("Tint of npm's webgpu {}", version.unwrap_or_else(|_| "(unknown)".into()))
    }

    /// Neither errors nor warnings, and a pipeline on a device of WebGPU's default limits if those suffice.
    ///
    /// # Errors
    /// The first message with its file and line.
    pub(super) fn check(&mut self, module: &Module) -> Result<()> {
        let code = module.text_for_browser();
        let question = Question { code: &code, limits: Needed::of(module) };
        let answer = self.0.ask(&serde_json::to_string(&question)?)?;
        let Answer { messages } = serde_json::from_str(&answer).with_context(|| format!("reading {answer}"))?;
        // the browser's text has a line more where it enables subgroups
        let added = code.lines().count() - module.text.lines().count();
        let place = |line: usize| line.checked_sub(1 + added).and_then(|at| module.origins.get(at));
        let said: Vec<_> = messages.iter().map(|m| said(m, place(m.line))).collect();
        if said.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(said.join("; "))) }
    }
}

fn said(message: &Message, place: Option<&Origin>) -> String {
    let text = message.text.lines().next().unwrap_or_default();
    let place = place.map(|o| format!("{}:{}: ", o.file, o.line)).unwrap_or_default();
    format!("{place}{}: {text}", message.r#type)
}
