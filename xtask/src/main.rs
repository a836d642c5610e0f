//! The one entry for people and CI: `cargo xtask bench`, `cargo xtask test`, and the tools behind them.

#![deny(unsafe_code)]

mod bench;
mod docs;
mod failures;
mod inspect;
mod isa;
mod peers;
mod setup;
mod shell;
mod suite;
mod tidy;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Gatefold's one entry for people and CI", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check, then time every op on this machine; write report.json and report.html
    Bench(bench::Bench),
    /// Time attention beside burn, on the same adapter, and PyTorch, on the CPU
    Peers(peers::Peers),
    /// Find the fastest tiles of this machine for the shapes that `bench` times; write tuning.json
    Tune(bench::Tune),
    /// Everything that must hold: format, lints, docs, layout, tests, mutants, conformance on every driver, vectors
    #[command(alias = "ci")]
    Test(suite::Suite),
    /// Run every op × case on an adapter, against the f64 reference
    Conformance(verify::Conformance),
    /// Replay one case of `conformance`
    Repro(verify::Repro),
    /// Check golden vectors (.safetensors) on the reference and on an adapter
    Vectors(verify::Vectors),
    /// Show that the checker rejects kernels with a planted fault
    Mutants(verify::Mutants),
    /// Print the linked WGSL of a variant
    Expand(inspect::Expand),
    /// Print the plan of a JSON op spec, and why each variant was taken
    Plan(inspect::PlanOf),
    /// Compile the kernels for AMD GPUs, without one, and say how much of the machine code is useful work
    Isa(isa::Isa),
    /// A process of `isa`
    #[command(hide = true)]
    IsaWorker(isa::Worker),
    /// Check dependency order, file and function sizes, words, and that the generated documents are up to date
    Check(tidy::Check),
    /// Generate docs/ops.md and the README's table of ops
    Docs(docs::Docs),
    /// Install the software drivers (Debian, Ubuntu)
    Setup(setup::Setup),
}

impl Task {
    /// The exit status: 0 all well, 1 something failed, 2 something is missing.
    fn run(&self) -> anyhow::Result<u8> {
        match self {
            Self::Bench(t) => t.run(),
            Self::Peers(t) => t.run(),
            Self::Tune(t) => t.run(),
            Self::Test(t) => t.run(),
            Self::Conformance(t) => t.run(),
            Self::Repro(t) => t.run(),
            Self::Vectors(t) => t.run(),
            Self::Mutants(t) => t.run(),
            Self::Expand(t) => t.run(),
            Self::Plan(t) => t.run(),
            Self::Isa(t) => t.run(),
            Self::IsaWorker(t) => t.run(),
            Self::Check(t) => t.run(),
            Self::Docs(t) => t.run(),
            Self::Setup(t) => t.run(),
        }
    }
}

fn main() -> ExitCode {
    match shell::own_file().and_then(|_| Cli::parse().task.run()) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
