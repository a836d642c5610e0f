//! The report on a terminal.

use std::fmt::Write;

use super::driver::Family;
use super::report::{Report, Row};
use super::spirv::Checks;

/// Waves per SIMD that hide the latency of memory.
const WAVES: u64 = 6;
/// Bytes loaded ÷ bytes of the inputs that a step of decoding may reach.
const DECODE_READS: f64 = 1.05;

/// Density that a kernel is to reach, in percent.
fn goal(kernel: &str) -> Option<f64> {
    match kernel {
        k if k.ends_with("_matrix") => None,
        k if k.starts_with("attention_forward") => Some(90.0),
        k if k.starts_with("attention_backward") => Some(80.0),
        k if k.starts_with("gemm") || k.starts_with("matmul") => Some(92.0),
        _ => None,
    }
}

fn mark(met: bool) -> &'static str {
    if met { "✓" } else { "✗" }
}

/// A large count in few characters.
fn short(x: f64) -> String {
    match x {
        x if x >= 1e6 => format!("{:.2}M", x / 1e6),
        x if x >= 1e4 => format!("{:.1}k", x / 1e3),
        x => format!("{x:.0}"),
    }
}

fn percent(row: &Row) -> String {
    let Some(density) = row.figures.density() else { return "–".into() };
    let goal = if row.decodes() { None } else { goal(&row.kernel) };
    format!("{density:.1}{}", goal.map_or("", |g| mark(density >= g)))
}

/// How often the inputs are read.
fn reads(row: &Row) -> String {
    let mark = if row.decodes() { mark(row.reads <= DECODE_READS) } else { "" };
    format!("{:.2}{mark}", row.reads)
}

const HEADS: [&str; 16] = [
    "kernel",
    "spec",
    "VGPR",
    "spills",
    "scratch",
    "LDS",
    "waves",
    "instr",
    "fma",
    "matrix",
    "trans",
    "lds",
    "mem",
    "reads",
    "density %",
    "of VALU %",
];

/// Cells of a kernel: what is compiled without naga's checks, then with them.
fn cells(off: &Row, on: &Row) -> [String; 16] {
    let pair = |f: &dyn Fn(&Row) -> String| {
        let (off, on) = (f(off), f(on));
        if off == on { off } else { format!("{off}|{on}") }
    };
    let spills = |r: &Row| format!("{}/{}", r.resources.spilled_vgprs, r.resources.spilled_sgprs);
    let share = |r: &Row| r.figures.valu_density().map_or("–".into(), |d| format!("{d:.1}"));
    let spec = off.spec.split_once(' ').map_or(off.spec.as_str(), |(_, rest)| rest);
    [
        off.kernel.clone(),
        spec.to_owned(),
        pair(&|r| r.resources.vgprs.to_string()),
        pair(&|r| spills(r) + mark(r.resources.spills() == 0)),
        pair(&|r| r.resources.scratch.to_string()),
        pair(&|r| r.resources.lds.to_string()),
        pair(&|r| format!("{}{}", r.resources.waves, mark(r.resources.waves >= WAVES))),
        pair(&|r| short(r.figures.all.issued)),
        pair(&|r| short(r.figures.all.mul_adds)),
        pair(&|r| short(r.figures.all.matrix)),
        pair(&|r| short(r.figures.all.trans)),
        pair(&|r| short(r.figures.all.lds)),
        pair(&|r| short(r.figures.all.memory)),
        pair(&reads),
        format!("{}|{}", percent(off), percent(on)),
        format!("{}|{}", share(off), share(on)),
    ]
}

/// Columns of text; the rest is numbers.
const LEFT: usize = 2;

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<_> = (0..columns).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let _ = if c < LEFT { write!(text, "{cell}{pad}  ") } else { write!(text, "{pad}{cell}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The rows of one family, without naga's checks and with them side by side.
pub(super) fn table(report: &Report, family: Family) -> String {
    let of = |checks| report.rows.iter().filter(move |r| r.family == family && r.checks == checks);
    let mut rows = vec![HEADS.iter().map(ToString::to_string).collect::<Vec<_>>()];
    for off in of(Checks::Off) {
        if let Some(on) = of(Checks::On).find(|r| (&r.spec, &r.kernel) == (&off.spec, &off.kernel)) {
            rows.push(cells(off, on).to_vec());
        }
    }
    format!("{}, {}\n{}", family.name(), report.driver, aligned(&rows))
}

/// What the columns mean, once.
pub(super) const LEGEND: &str = "A pair is code without naga's run-time checks | with them. Counts are per lane at the plan's trips. \
    Density: needed multiply-adds ÷ issued instructions (hints left out); in matrix units, needed matrix operations ÷ issued \
    instructions (one keeps its unit busy for many issue slots). Reads: bytes that vector loads bring ÷ bytes of the \
    inputs. Goals: forward 90, backward 80, GEMM 92, waves 6, no spill; a step of decoding: reads 1.05.";
