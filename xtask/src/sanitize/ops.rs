//! Every op in the interpreter: its plans' kernels must be silent, and its outputs within the reference's bound, both with arithmetic that rounds to
//! nearest and with an adversary's, who returns anything that WGSL allows.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, bail};
use gatefold_core::for_each_op;
use gatefold_cpu_ref::{Reference, bounded_as, compare};
use gatefold_sanitizer::{Adversary, Style};
use gatefold_shaders::Kernels;
use gatefold_tests::interpreter::{How, Programs, Ran, execute};
use rayon::prelude::*;

use super::cases::{Chosen, Effort, choose, choose_seeds};
use super::planted;

/// What is to be run.
pub(super) struct Wanted {
    pub(super) op: Option<String>,
    /// Only these seeds, unless empty.
    pub(super) seeds: Vec<u64>,
    pub(super) full: bool,
    pub(super) verbose: bool,
}

/// One case under one profile.
struct Checked {
    what: String,
    variants: Vec<String>,
    findings: Vec<String>,
    /// Largest error ÷ bound: rounded to nearest, and by an adversary.
    plain: f64,
    adversary: f64,
    wrong: Vec<String>,
    operations: u64,
    seconds: f64,
}

/// How many findings of an op are printed.
const MOST_LINES: usize = 12;

fn styles(every: bool, seed: u64) -> Vec<Style> {
    let all = [Style::Random, Style::Up, Style::Down];
    if every { all.to_vec() } else { vec![all[usize::try_from(seed % 3).unwrap_or(0)]] }
}

impl Checked {
    fn note(&mut self, who: &str, ran: &Ran) {
        self.operations += ran.operations;
        for finding in &ran.findings {
            let line = finding.to_string();
            if !self.findings.contains(&line) {
                self.findings.push(line);
            }
        }
        self.wrong.extend(ran.faults.iter().map(|fault| format!("{who}: {fault}")));
    }
}

/// Interprets a case, plainly and by adversaries.
fn check<O: Reference + Kernels>(programs: &Programs, chosen: &Chosen<O>, every_style: bool) -> Checked {
    let Chosen { case, profile, subgroup, plan } = chosen;
    let clock = Instant::now();
    let mut checked = Checked {
        what: format!("seed {} on {profile}: {} {}", case.seed, case.op.label(), case.op.size_label()),
        variants: plan.steps.iter().map(|s| s.name.clone()).collect(),
        findings: Vec::new(),
        plain: 0.0,
        adversary: 0.0,
        wrong: Vec::new(),
        operations: 0,
        seconds: 0.0,
    };
    let exact = bounded_as(&case.op, &case.inputs, plan.rounds_weights);
    let operands = case.op.operands();
    for style in std::iter::once(None).chain(styles(every_style, case.seed).into_iter().map(Some)) {
        let adversary = style.map(|style| Adversary { seed: case.seed, style });
        let who = style.map_or("plain".into(), |style| format!("adversary {style:?}").to_lowercase());
        let how = How { subgroup: *subgroup, seed: case.seed + 1, adversary };
        let ran = match execute(programs, plan, &operands, &case.inputs, how) {
            Ok(ran) => ran,
            Err(e) => {
                checked.wrong.push(format!("{who}: {e:#}"));
                break;
            }
        };
        checked.note(&who, &ran);
        let worst = if style.is_some() { &mut checked.adversary } else { &mut checked.plain };
        match compare(&exact, &ran.outputs) {
            Ok(found) => {
                let line = format!("{who}: {}", found.describe());
                *worst = worst.max(found.ratio);
                if found.ratio > 1.0 {
                    checked.wrong.push(line);
                }
            }
            Err(e) => checked.wrong.push(format!("{who}: {e}")),
        }
    }
    checked.seconds = clock.elapsed().as_secs_f64();
    checked
}

/// Interprets the cases of one op; gives how many passed and failed.
fn op<O: Reference + Kernels>(wanted: &Wanted) -> (usize, usize) {
    let clock = Instant::now();
    let choice = match &wanted.seeds[..] {
        [] => choose::<O>(Effort::of(wanted.full)),
        seeds => choose_seeds(seeds),
    };
    let every_style = wanted.full || !wanted.seeds.is_empty();
    let programs = Programs::default();
    let all: Vec<_> = choice.chosen.par_iter().map(|chosen| check(&programs, chosen, every_style)).collect();
    let covered: BTreeSet<_> = all.iter().flat_map(|c| &c.variants).collect();
    let failed = |c: &&Checked| !c.wrong.is_empty() || !c.findings.is_empty();
    let (failures, findings) = (all.iter().filter(failed).count(), all.iter().map(|c| c.findings.len()).sum::<usize>());
    let largest = |of: fn(&Checked) -> f64| all.iter().map(of).fold(0.0, f64::max);
    println!(
        "{}: {} plans, {} of {} variants, {findings} findings, worst error/bound {:.4} plain, {:.4} adversary, \
         {:.0} million operations, {:.1} s",
        O::NAME,
        all.len(),
        covered.len(),
        choice.known.len(),
        largest(|c| c.plain),
        largest(|c| c.adversary),
        all.iter().map(|c| c.operations).sum::<u64>() as f64 / 1e6,
        clock.elapsed().as_secs_f64(),
    );
    for checked in all.iter().filter(|c| wanted.verbose || failed(c)).take(if wanted.verbose { usize::MAX } else { 8 })
    {
        let Checked { what, plain, adversary, operations, seconds, .. } = checked;
        println!("  {what}: {plain:.4}, {adversary:.4}; {operations} operations, {seconds:.2} s");
        for line in checked.wrong.iter().chain(&checked.findings).take(MOST_LINES) {
            println!("    FAILED {line}");
        }
    }
    (all.len() - failures, failures)
}

/// Interprets every op. Status 1 if anything is wrong.
pub(super) fn run(wanted: &Wanted) -> Result<u8> {
    let (mut names, mut passed, mut failed) = (Vec::new(), 0, 0);
    macro_rules! all {
        ($($op:ty),*) => {$(
            let name = <$op as gatefold_core::Op>::NAME;
            names.push(name);
            if wanted.op.as_ref().is_none_or(|only| only == name) {
                let (good, bad) = op::<$op>(wanted);
                passed += good;
                failed += bad;
            }
        )*};
    }
    for_each_op!(all);
    if let Some(only) = &wanted.op
        && !names.contains(&only.as_str())
    {
        bail!("--op: expected one of {}, got {only}", names.join(", "));
    }
    if wanted.op.is_none() {
        let (found, missed) = planted::check();
        println!("planted in kernels: {found} of {} faults found", found + missed.len());
        missed.iter().for_each(|line| println!("    FAILED {line}"));
        passed += found;
        failed += missed.len();
    }
    println!("sanitizer: {passed} passed, {failed} failed");
    Ok(u8::from(failed > 0 || passed == 0))
}
