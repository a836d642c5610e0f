//! `cargo xtask tune`: which tiles are fastest here, for the shapes that the bench times.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gatefold_core::{Dtype, Op};
use gatefold_tests::conformance::op_names;
use gatefold_wgpu::{AdapterKind, Gpu, TuneOptions, TuneReport};

use gatefold_tests::sampled::draw;

use super::cases::{Case, Scope, Timed, cases, with_op};
use crate::verify::open;

/// `cargo xtask tune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Tune {
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Index of the adapter or part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// Seconds for each op and shape, compilation included
    #[arg(long, default_value_t = 20.0)]
    budget: f64,
    /// Only this sequence length
    #[arg(long)]
    length: Option<usize>,
    /// The shapes of `bench --full`
    #[arg(long)]
    full: bool,
    /// Where the tuning goes, to be given to `Options::tuning` or shipped with a program
    #[arg(long, default_value = "tuning.json")]
    json: PathBuf,
}

impl Tune {
    pub(crate) fn run(&self) -> Result<u8> {
        if let Some(op) = &self.op
            && !op_names().contains(&op.as_str())
        {
            bail!("--op: expected one of {}, got {op}", op_names().join(", "));
        }
        let Ok(budget) = Duration::try_from_secs_f64(self.budget) else {
            bail!("--budget: expected seconds, got {}", self.budget)
        };
        let gpu = open(self.adapter.as_deref())?;
        println!("adapter {}", gpu.info());
        let cpu = gpu.info().kind == AdapterKind::Cpu;
        let scope = Scope { full: self.full, cpu, f16: gpu.limits().f16, presets: false };
        let options = TuneOptions { budget, ..TuneOptions::default() };
        let mut seen = BTreeSet::new();
        let mut rejected = 0;
        for case in cases(scope).iter().filter(|case| self.wants(case)) {
            let classes = with_op!(case, op => gatefold_shaders::Kernels::classes(op.op(), gpu.limits()));
            // Shapes of a class share a choice: the first is enough.
            if classes.iter().filter(|class| seen.insert(class.name.clone())).count() == 0 {
                continue;
            }
            let report = with_op!(case, op => tuned(&gpu, op, &options))?;
            println!("{}\n{report}", case.title());
            let verdicts = report.classes.iter().flat_map(|class| &class.tried);
            rejected += verdicts.filter(|t| matches!(t.verdict, gatefold_wgpu::Verdict::Rejected { .. })).count();
        }
        let tuning = gpu.tuning();
        std::fs::write(&self.json, tuning.to_json()).with_context(|| format!("writing {}", self.json.display()))?;
        println!("written: {} ({} shape classes)", self.json.display(), tuning.choices.len());
        Ok(u8::from(rejected > 0))
    }

    fn wants(&self, case: &Case) -> bool {
        let facts = with_op!(case, op => op.facts());
        self.op.as_deref().is_none_or(|op| op == case.op())
            && self.length.is_none_or(|length| length == facts.length)
            && (self.full || facts.dtype == Dtype::F32)
    }
}

/// Tunes one case on drawn inputs.
fn tuned<T: Timed>(gpu: &Gpu, timed: &T, options: &TuneOptions) -> Result<TuneReport> {
    let op = timed.op();
    let inputs = timed.complete_on(gpu, draw(op)?)?;
    gpu.tune(op, inputs, options).with_context(|| op.label())
}
