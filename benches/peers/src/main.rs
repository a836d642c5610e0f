//! Gatefold against its peers: burn's attention on the same adapter in the same process, and PyTorch's on the CPU. `cargo xtask peers`.

#![forbid(unsafe_code)]

mod cases;
mod clock;
mod ours;
mod report;
mod table;
mod with_burn;
mod with_torch;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use gatefold_tests::sampled::{draw, forward};
use gatefold_wgpu::{Attention, Gpu, Options, Tensor, Tensors, TuneOptions};

use cases::{Case, What};
use clock::{Contender, Pace, race};
use report::{Entry, Report, Row, difference};

/// The programme's options. What `cargo xtask peers` is given comes here unchanged.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask peers", about = "Time Gatefold beside burn and PyTorch", version)]
struct Cli {
    /// Only 1024 keys of 64 dimensions, and few rounds
    #[arg(long)]
    quick: bool,
    /// Only the rows whose title contains this: softmax, sigmoid, causal, matmul, T4096
    #[arg(long)]
    only: Option<String>,
    /// Leave out softmax attention from a peer's separate ops where the peer has it in one: tuning those takes minutes
    #[arg(long)]
    fused_only: bool,
    /// Let our tuner try other tiles first, for so many seconds a shape, as burn tunes at its first call
    #[arg(long, default_value_t = 0)]
    tune: u64,
    /// Index of the adapter or part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// The Python that is asked for PyTorch
    #[arg(long, default_value = "python3")]
    python: String,
    /// Writes every sample here
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Largest difference from our output, as a share of its largest element, for a peer to compute the same. Half precision stays within it.
const SAME: f64 = 1e-2;

fn main() -> Result<()> {
    let cli = Cli::parse();
    let gpu = Gpu::open(&Options { adapter: cli.adapter.clone(), ..Options::default() })?;
    println!("adapter {}", gpu.info());
    let burn = with_burn::open(&gpu);
    match &burn {
        Ok(_) => println!("burn {}, on the same adapter", with_burn::version()),
        Err(e) => println!("burn: {e:#}"),
    }
    let pace = Pace::new(cli.quick);
    let mut report = opening(&cli, &gpu);
    let wanted = |case: &Case| cli.only.as_ref().is_none_or(|only| case.title().contains(only.as_str()));
    let cases: Vec<_> = cases::cases(cli.quick).into_iter().filter(wanted).collect();
    for case in &cases {
        let row = row(case, &gpu, &burn, &cli).with_context(|| case.title())?;
        print!("{}", table::lines(&row));
        report.rows.push(row);
    }
    match with_torch::measure(&cli.python, &cases, pace) {
        Ok(torch) => {
            report.peers.push(torch.peer);
            report.rows.iter_mut().zip(torch.entries).for_each(|(row, entry)| row.entries.push(entry));
        }
        Err(e) => println!("PyTorch: {e:#}"),
    }
    report.rows.iter_mut().for_each(Row::compare);
    println!("\n{}", table::table(&report));
    if let Some(path) = &cli.json {
        report.write(path)?;
        println!("written: {}", path.display());
    }
    Ok(())
}

/// The report before its rows.
fn opening(cli: &Cli, gpu: &Gpu) -> Report {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = gpu.info();
    Report {
        schema: report::SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        mode: if cli.quick { "quick" } else { "whole" }.into(),
        unix_time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        host: format!("{} {}, {cores} cores", std::env::consts::OS, std::env::consts::ARCH),
        adapter: info.name.clone(),
        kind: info.kind.to_string(),
        backend: info.backend.clone(),
        driver: format!("{} {}", info.driver, info.driver_info),
        clock: "host: submit and wait, data on the device; turns are interleaved".into(),
        peers: vec![with_burn::peer()],
        rows: Vec::new(),
    }
}

/// Everyone's turn at one case: first calls, checks, then rounds.
fn row(case: &Case, gpu: &Gpu, burn: &Result<with_burn::Device>, cli: &Cli) -> Result<Row> {
    println!("\n{}", case.title());
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    let mut inputs = Tensors::new();
    if let What::Attention(op) = &case.what {
        inputs = draw(op)?;
        if cli.tune > 0 {
            let budget = Duration::from_secs(cli.tune);
            println!("{}", gpu.tune(op, inputs.clone(), &TuneOptions { budget, ..TuneOptions::default() })?);
        }
        contenders.push(Box::new(ours::Ours::new(gpu, op, &inputs)?));
    }
    let theirs = burn.as_ref().map_err(|e| format!("{e:#}"));
    let theirs =
        theirs.and_then(|device| with_burn::all(device, case, &inputs, cli.fused_only).map_err(|e| format!("{e:#}")));
    let failure = theirs.map(|theirs| contenders.extend(theirs)).err();
    let raced = race(&mut contenders, Pace::new(cli.quick));
    let mut row = Row { title: case.title(), flops: case.flops(), entries: Vec::new() };
    let ours = raced.first().and_then(|r| r.output.clone()).unwrap_or_default();
    for one in &raced {
        let mut entry = Entry::of(one, row.flops);
        if let (What::Attention(op), Some(got)) = (&case.what, &one.output) {
            entry.difference = Some(difference(&ours, got));
            entry.error_ratio = Some(error_ratio(op, &inputs, got)?);
            entry.judge(&ours, SAME);
        }
        row.entries.push(entry);
    }
    if failure.is_some() {
        row.entries.push(Entry { who: "burn".into(), failure, ..Entry::default() });
    }
    Ok(row)
}

/// Largest error ÷ bound of an output, over some rows.
fn error_ratio(op: &Attention, inputs: &Tensors, got: &[f32]) -> Result<f64> {
    let dims = [op.dims.batch, op.dims.q_heads, op.dims.seq_q, op.dims.val_dim];
    forward(op, inputs, &Tensors::new().with("o", Tensor::f32(dims, got.to_vec())?), false)
}
