//! `cargo xtask peers`: builds and runs `benches/peers`, which is not part of the workspace.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use gatefold_wgpu::adapters;

use crate::{setup, shell};

/// The package that has the peers as its dependencies.
pub(crate) const MANIFEST: &str = "benches/peers/Cargo.toml";

/// `cargo xtask peers`. The options are those of the programme, told here so that help needs no build.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Only 1024 keys of 64 dimensions, and few rounds
    #[arg(long)]
    quick: bool,
    /// Only the rows whose title contains this: softmax, sigmoid, causal, matmul, T4096
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Leave out softmax attention from a peer's separate ops where the peer has it in one: tuning those takes minutes
    #[arg(long)]
    fused_only: bool,
    /// Let our tuner try other tiles first, for so many seconds a shape, as burn tunes at its first call
    #[arg(long, value_name = "SECONDS")]
    tune: Option<u64>,
    /// Index of the adapter or part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// burn with its compiler to SPIR-V, on Vulkan, instead of WGSL (another build)
    #[arg(long)]
    spirv: bool,
    /// The Python that is asked for PyTorch
    #[arg(long, default_value = "python3", value_name = "PATH")]
    python: String,
    /// Writes every sample here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Peers {
    pub(crate) fn run(&self) -> Result<u8> {
        if adapters().is_empty() {
            bail!("there is no adapter. {}", setup::advice());
        }
        let mut command = shell::cargo();
        // Optimised as a user of burn would have it. In the workspace's own folder for builds, which is ignored already.
        command.args(["run", "--release", "--locked", "--manifest-path", MANIFEST, "--target-dir", "target"]);
        if self.spirv {
            command.args(["--features", "spirv"]);
        }
        command.args(["--", "--python", &self.python]);
        for (option, wanted) in [("--quick", self.quick), ("--fused-only", self.fused_only)] {
            command.args(wanted.then_some(option));
        }
        for (option, value) in [("--only", &self.only), ("--adapter", &self.adapter)] {
            command.args(value.iter().flat_map(|value| [option, value]));
        }
        if let Some(seconds) = self.tune {
            command.args(["--tune", &seconds.to_string()]);
        }
        if let Some(json) = &self.json {
            // Where the user stands; cargo stands at the root.
            command.arg("--json").arg(std::path::absolute(json).context("finding the current folder")?);
        }
        if !shell::root().join("target/release/gatefold-peers").exists() {
            println!("building burn, hundreds of packages, for the first time: ten minutes on two cores");
        }
        shell::run(&mut command)?;
        Ok(0)
    }
}
