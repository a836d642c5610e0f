//! The one entry for people and CI: `cargo xtask bench`, `cargo xtask test`, and the tools behind them.

#![deny(unsafe_code)]

mod bench;
mod compilers;
mod conformance;
mod debian;
mod docs;
mod evidence;
mod failures;
mod fuzz;
mod inspect;
mod isa;
mod page;
mod peers;
mod prove;
mod sanitize;
mod setup;
mod shell;
mod stacks;
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
    /// Everything that must hold: format, lints, docs, layout, tests, mutants, conformance on every stack, vectors
    #[command(alias = "ci")]
    Test(suite::Suite),
    /// Run every op × case on an adapter or a stack, against the f64 reference
    Conformance(conformance::Conformance),
    /// Read reports of `conformance`: show them as a page, or say what changed from one to another
    Report(evidence::ReportOf),
    /// Replay one case of `conformance`
    Repro(verify::Repro),
    /// Check golden vectors (.safetensors) on the reference and on an adapter
    Vectors(verify::Vectors),
    /// Show that the checker rejects kernels with a planted fault
    Mutants(verify::Mutants),
    /// Look for inputs that crash, hang or are computed wrongly, for a minute a target
    Fuzz(fuzz::Fuzz),
    /// Interpret kernels with shadow memory: races, bounds, memory nobody wrote, barriers, and the worst rounding that WGSL allows
    Sanitize(sanitize::Sanitize),
    /// Print the linked WGSL of a variant
    Expand(inspect::Expand),
    /// Print the plan of a JSON op spec, and why each variant was taken
    Plan(inspect::PlanOf),
    /// Say which kernels are proven to need no runtime checks, and why the others are not
    Prove(prove::Prove),
    /// Compile the kernels for AMD GPUs, without one, and say how much of the machine code is useful work
    Isa(isa::Isa),
    /// A process of `isa`
    #[command(hide = true)]
    IsaWorker(isa::Worker),
    /// Ask other compilers about every variant: Tint, spirv-val, DXC; and have Metal's language written
    Compilers(compilers::Compilers),
    /// Check dependency order, file and function sizes, words, and that the generated documents are up to date
    Check(tidy::Check),
    /// Generate docs/ops.md and the README's table of ops
    Docs(docs::Docs),
    /// Install the software drivers (Debian, Ubuntu); with --stacks also Dawn and a newer Mesa
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
            Self::Report(t) => t.run(),
            Self::Repro(t) => t.run(),
            Self::Vectors(t) => t.run(),
            Self::Mutants(t) => t.run(),
            Self::Fuzz(t) => t.run(),
            Self::Sanitize(t) => t.run(),
            Self::Expand(t) => t.run(),
            Self::Plan(t) => t.run(),
            Self::Prove(t) => t.run(),
            Self::Isa(t) => t.run(),
            Self::IsaWorker(t) => t.run(),
            Self::Compilers(t) => t.run(),
            Self::Check(t) => t.run(),
            Self::Docs(t) => t.run(),
            Self::Setup(t) => t.run(),
        }
    }
}

fn main() -> ExitCode {
    let task = || shell::own_file().and_then(|_| Cli::parse().task.run());
    match fuzz::as_compiler().unwrap_or_else(task) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
