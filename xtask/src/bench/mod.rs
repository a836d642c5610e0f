//! `cargo xtask bench`: check, time, report.

mod cases;
mod ceilings;
mod goals;
mod html;
mod measure;
mod plots;
mod report;
mod routing;
mod table;
mod tune;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use gatefold_core::for_each_op;
use gatefold_tests::adapters::installed_drivers;
use gatefold_tests::conformance::{gate, op_names};
use gatefold_wgpu::{AdapterKind, Gpu, Limits, Tuning, adapters};

use crate::verify::{NO_ADAPTER, is_no_adapter, open, progress};
use crate::{setup, shell};
use cases::{Case, Scope, with_op};
use report::{AdapterReport, Checked, Report};

pub(crate) use tune::Tune;

/// `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Few shapes, under 3 minutes on two cores (the default on a software driver)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All shapes (the default on a GPU is --quick too, at larger ones)
    #[arg(long)]
    full: bool,
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Also time the presets of the papers, beside plain softmax of the same shape
    #[arg(long)]
    presets: bool,
    /// Index of the adapter or part of its name
    #[arg(long, conflicts_with = "all_adapters")]
    adapter: Option<String>,
    /// Every driver that is installed, one after another
    #[arg(long)]
    all_adapters: bool,
    /// Do not install a software driver if there is none: print the command and exit with 2
    #[arg(long)]
    no_install: bool,
    /// Tiles to time instead of the defaults: what `cargo xtask tune` has written on this adapter
    #[arg(long, value_name = "TUNING.json", conflicts_with = "all_adapters")]
    tuning: Option<PathBuf>,
    /// An earlier report.json, to compare with
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, default_value = "report.json")]
    json: PathBuf,
    /// Where the page goes
    #[arg(long, default_value = "report.html")]
    html: PathBuf,
    /// Set for the processes of --all-adapters
    #[arg(long, hide = true)]
    sub_process: bool,
}

/// Seconds that a quick bench may take on a software driver; rows that would end later are left out.
const QUICK_SECONDS: f64 = 150.0;

/// Share of the ceiling that a first guess of a row's time reckons with.
const GUESS: f64 = 0.05;

/// Findings of a probe or limits, as `(what, finding)`.
fn facts(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|l| l.split_once(": "));
    lines.map(|(what, finding)| (what.trim().to_string(), finding.trim().to_string())).collect()
}

fn limit_facts(l: &Limits) -> Vec<(String, String)> {
    let mib = |b: u64| format!("{} MiB", b >> 20);
    [
        ("workgroup memory", format!("{} KiB", l.workgroup_memory >> 10)),
        ("invocations per workgroup", l.invocations.to_string()),
        ("storage buffers", l.storage_buffers.to_string()),
        ("storage binding", mib(l.binding_bytes)),
        ("buffer", mib(l.buffer_bytes)),
        ("subgroup", l.subgroup.map_or("not used".into(), |s| s.to_string())),
        ("f16 storage", if l.f16 { "yes" } else { "no" }.into()),
    ]
    .map(|(what, value)| (what.to_string(), value))
    .to_vec()
}

/// Conformance of one op by name.
fn check(gpu: &Gpu, name: &str, gate: f64) -> Result<Checked> {
    macro_rules! find {
        ($($op:ty),*) => {$(
            if name == <$op as gatefold_core::Op>::NAME {
                return Ok(measure::conformance::<$op>(gpu, gate));
            }
        )*};
    }
    for_each_op!(find);
    bail!("--op: expected one of {}, got {name}", op_names().join(", "))
}

/// What is known about the speed of cases alike, for estimates.
#[derive(Default)]
struct Speeds(HashMap<String, f64>);

impl Speeds {
    fn key(case: &Case) -> String {
        with_op!(case, op => format!("{}{:?}", case.op(), cases::Timed::facts(op).function))
    }

    /// Seconds that one run of the case may take.
    fn seconds(&self, case: &Case, ceiling: f64) -> f64 {
        let rate = self.0.get(&Self::key(case)).copied().unwrap_or(ceiling * 1e9 * GUESS);
        case.flops() / rate
    }
}

impl Bench {
    pub(crate) fn run(&self) -> Result<u8> {
        if let Some(op) = &self.op
            && !op_names().contains(&op.as_str())
        {
            bail!("--op: expected one of {}, got {op}", op_names().join(", "));
        }
        // Looked at first: a wrong file must not cost a bench.
        let old = self.compare.as_deref().map(Report::read).transpose()?;
        if adapters().is_empty() {
            if self.sub_process {
                return Ok(NO_ADAPTER);
            }
            if !setup::driver(!self.no_install)? {
                return Ok(2);
            }
            if adapters().is_empty() {
                bail!("there is still no adapter after installing Mesa's software driver");
            }
        }
        let report = if self.all_adapters { self.all()? } else { self.one()? };
        let Some(report) = report else { return Ok(NO_ADAPTER) };
        report.write(&self.json)?;
        if self.sub_process {
            return Ok(0);
        }
        let page = html::page(&report)?;
        std::fs::write(&self.html, page).with_context(|| format!("writing {}", self.html.display()))?;
        println!("written: {} and {}", self.json.display(), self.html.display());
        if let Some(old) = old {
            println!(
                "\nagainst {}:\n{}",
                self.compare.as_deref().unwrap_or(Path::new("")).display(),
                table::comparison(&old, &report)
            );
        }
        for adapter in &report.adapters {
            let name = if report.adapters.len() > 1 { format!("{}: ", adapter.name) } else { String::new() };
            println!("{name}{}", table::verdict(adapter));
            adapter.goals.iter().for_each(|goal| println!("{name}{}", goal.line()));
        }
        Ok(u8::from(report.adapters.iter().any(|a| !a.failures.is_empty())))
    }

    /// The adapter, with the tiles asked for.
    fn open(&self) -> Result<Gpu> {
        let gpu = open(self.adapter.as_deref())?;
        if let Some(path) = &self.tuning {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let tuning = Tuning::from_json(&text).map_err(|e| anyhow!("{}: {e}", path.display()))?;
            if let Some(reason) = tuning.foreign(gpu.info()) {
                bail!("{}: {reason}", path.display());
            }
            gpu.set_choices(tuning.choices);
        }
        Ok(gpu)
    }

    /// One adapter, in this process. `None`: there is none, and a sub-process says so by its status.
    fn one(&self) -> Result<Option<Report>> {
        let gpu = match self.open() {
            Err(e) if self.sub_process && is_no_adapter(&e) => return Ok(None),
            opened => opened?,
        };
        let adapter = self.adapter_report(&gpu)?;
        Ok(Some(Report { adapters: vec![adapter], ..self.empty() }))
    }

    fn empty(&self) -> Report {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Report {
            schema: report::SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            mode: if self.full { "full" } else { "quick" }.into(),
            unix_time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            host: format!("{} {}, {cores} cores", std::env::consts::OS, std::env::consts::ARCH),
            adapters: Vec::new(),
        }
    }

    /// One process per driver, merged.
    fn all(&self) -> Result<Option<Report>> {
        let mut merged = self.empty();
        for driver in installed_drivers() {
            println!("driver {}", driver.name);
            let json = std::env::temp_dir().join(format!("gatefold_bench_{}_{}.json", driver.name, std::process::id()));
            let mut command = shell::again()?;
            driver.alone_in(&mut command);
            command.args([
                "bench",
                "--sub-process",
                "--no-install",
                if self.full { "--full" } else { "--quick" },
                "--json",
            ]);
            command.arg(&json);
            if let Some(op) = &self.op {
                command.args(["--op", op]);
            }
            match command.status().with_context(|| format!("starting {}", shell::typed(&command)))?.code() {
                Some(0) => {
                    merged.adapters.extend(Report::read(&json)?.adapters);
                    // It was a message between two processes.
                    let _ = std::fs::remove_file(&json);
                }
                Some(code) if code == i32::from(NO_ADAPTER) => println!("no adapter: its hardware is not here\n"),
                code => bail!("driver {}: the bench ended with {code:?}", driver.name),
            }
        }
        if merged.adapters.is_empty() {
            bail!("no driver has an adapter. {}", setup::advice());
        }
        Ok(Some(merged))
    }

    fn wants(&self, op: &str) -> bool {
        self.op.as_deref().is_none_or(|o| o == op)
    }

    fn adapter_report(&self, gpu: &Gpu) -> Result<AdapterReport> {
        let start = Instant::now();
        let info = gpu.info();
        println!("adapter {info}\nprobe ({}):", gpu.verdict_file());
        gpu.probe().to_string().lines().for_each(|l| println!("  {l}"));
        let ceilings = ceilings::measure(gpu)?;
        let f16 = ceilings.f16_gflops.map_or(String::new(), |g| format!(", f16 {} GFLOP/s", table::number(g)));
        println!(
            "ceilings: f32 multiply-adds {} GFLOP/s{f16}, copy {} GB/s",
            table::number(ceilings.f32_gflops),
            table::number(ceilings.copy_gbs)
        );
        let gate = gate(gpu);
        let mut checked = Vec::new();
        for op in op_names().into_iter().filter(|op| self.wants(op)) {
            let one = check(gpu, op, gate)?;
            match &one.failure {
                None => println!("checked {op}: {} cases, worst error/B {:.3}", one.cases, one.worst_ratio),
                Some(why) => println!("FAILED {op}, so it is not timed: {why}"),
            }
            checked.push(one);
        }
        let mut report = AdapterReport {
            name: info.name.clone(),
            kind: info.kind.to_string(),
            backend: info.backend.clone(),
            driver: format!("{} {}", info.driver, info.driver_info),
            probe: facts(&gpu.probe().to_string()),
            limits: limit_facts(gpu.limits()),
            ceilings,
            checked,
            ..AdapterReport::default()
        };
        let broken = |c: &Checked| c.failure.as_ref().map(|why| format!("{}: not timed: {why}", c.op));
        report.failures = report.checked.iter().filter_map(broken).collect();
        self.time(&mut report, start, gate)?;
        report.verdicts = report::verdicts(&report.rows);
        report.goals = goals::goals(&report);
        report.seconds = start.elapsed().as_secs_f64();
        println!("\n{}", table::table(&report));
        println!("{:.0} s in all", report.seconds);
        Ok(report)
    }

    /// Times every case on a fresh device, whose pipelines are all still to be compiled.
    fn time(&self, report: &mut AdapterReport, start: Instant, gate: f64) -> Result<()> {
        let gpu = self.open()?;
        let cpu = gpu.info().kind == AdapterKind::Cpu;
        let cases =
            cases::cases(Scope { full: self.full, cpu, f16: gpu.limits().f16, presets: self.full || self.presets });
        let sound = |op: &str| report.checked.iter().any(|c| c.op == op && c.failure.is_none());
        let cases: Vec<_> = cases.into_iter().filter(|c| self.wants(c.op()) && sound(c.op())).collect();
        let budget = if self.full { Duration::from_secs(3) } else { Duration::from_millis(800) };
        let until = if self.full || !cpu { f64::INFINITY } else { QUICK_SECONDS };
        let mut bench = measure::Bench::new(&gpu, report.ceilings, budget, gate);
        let mut speeds = Speeds::default();
        let bar = progress(cases.len() as u64, "bench");
        for case in &cases {
            bar.set_message(case.title());
            bar.tick();
            // A warm-up, the fewest runs, and the forward pass of a gradient.
            let expected = (5.0 * speeds.seconds(case, report.ceilings.f32_gflops)).max(budget.as_secs_f64());
            if start.elapsed().as_secs_f64() + expected > until {
                report.left_out.push(format!("{}: would take {expected:.0} s more (--full times it)", case.title()));
                bar.inc(1);
                continue;
            }
            let row = match with_op!(case, op => bench.row(op)) {
                Ok(row) => row,
                Err(e) => {
                    bar.suspend(|| println!("  FAILED {}: {e:#}", case.title()));
                    report.failures.push(format!("{}: {e:#}", case.title()));
                    continue;
                }
            };
            speeds.0.insert(Speeds::key(case), row.flops / row.median);
            bar.suspend(|| println!("  {}: {}, {}", case.title(), table::duration(row.median), table::rate(&row)));
            report.rows.push(row);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }
}
