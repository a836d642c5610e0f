//! The report on a terminal.

use std::fmt::Write;

use super::report::{AdapterReport, Report, Row};

/// Seconds in a unit that reads well.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}

/// Three significant digits.
pub(super) fn number(x: f64) -> String {
    match x.abs() {
        a if a >= 1e4 => format!("{:.3e}", x),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// Spread of the middle half of the runs, as a share of the median.
pub(super) fn spread(row: &Row) -> String {
    let half = (row.quartile_high - row.quartile_low) / 2.0 / row.median * 100.0;
    format!("±{half:.1} %")
}

/// What a row is measured in: GFLOP/s for attention and products, GB/s for row-wise ops.
pub(super) fn rate(row: &Row) -> String {
    if row.by_bytes { format!("{} GB/s", number(row.gbs)) } else { format!("{} GFLOP/s", number(row.gflops)) }
}

/// The kernel that takes most of the time: its variant name after the element type, which is its schedule and tile.
pub(super) fn variant(row: &Row) -> String {
    let tail = row.main.split(&format!(".{}.", row.dtype)).last().unwrap_or_default();
    let more = row.variants.len().saturating_sub(1);
    if more == 0 { tail.to_string() } else { format!("{tail} +{more}") }
}

/// Heads and cells.
pub(super) const HEADS: [&str; 10] =
    ["op", "what", "shape", "variant", "median", "spread", "rate", "of ceiling", "error/B", "compile"];

/// A row's cells, under [`HEADS`]. The host's clock is marked with `*`.
pub(super) fn cells(row: &Row) -> [String; 10] {
    let mark = if row.clock == "gpu" { "" } else { "*" };
    [
        row.op.clone(),
        row.label.clone(),
        row.shape.clone(),
        variant(row),
        format!("{}{mark}", duration(row.median)),
        spread(row),
        rate(row),
        format!("{:.1} %", row.share * 100.0),
        format!("{:.3}", row.error_ratio),
        duration(row.compile),
    ]
}

/// Columns that are numbers.
pub(super) const RIGHT: usize = 4;

/// Rows of text, aligned.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let _ = if c < RIGHT { write!(text, "{cell}{pad}  ") } else { write!(text, "{pad}{cell}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The table of one adapter.
pub(super) fn table(report: &AdapterReport) -> String {
    let mut rows = vec![HEADS.iter().map(ToString::to_string).collect::<Vec<_>>()];
    rows.extend(report.rows.iter().map(|r| cells(r).to_vec()));
    let mut text = aligned(&rows);
    if report.rows.iter().any(|r| r.clock != "gpu") {
        text.push_str("* host clock: the device keeps no time of its own\n");
    }
    for failure in &report.failures {
        let _ = writeln!(text, "FAILED: {failure}");
    }
    for left in &report.left_out {
        let _ = writeln!(text, "left out: {left}");
    }
    text
}

/// One line: sigmoid against softmax.
pub(super) fn verdict(report: &AdapterReport) -> String {
    let parts: Vec<_> = report
        .verdicts
        .iter()
        .map(|v| {
            let word = if v.percent >= 0.0 { "faster" } else { "slower" };
            format!("{} {:.1} % {word} ({} shapes)", v.direction, v.percent.abs(), v.shapes)
        })
        .collect();
    if parts.is_empty() {
        return "sigmoid against softmax: not both were timed".into();
    }
    format!("sigmoid against softmax: {}", parts.join(", "))
}

/// New against old, row by row.
pub(super) fn comparison(old: &Report, new: &Report) -> String {
    let mut rows = vec![["op", "what", "shape", "adapter", "old", "new", "speed-up"].map(String::from).to_vec()];
    let mut logs = Vec::new();
    for adapter in &new.adapters {
        let Some(before) = old.adapters.iter().find(|a| a.name == adapter.name) else {
            continue;
        };
        for row in &adapter.rows {
            if let Some(was) = before.rows.iter().find(|r| r.key() == row.key()) {
                let ratio = was.median / row.median;
                logs.push(ratio.ln());
                let (op, label, shape) = row.key();
                let cells = [op, label, shape, &adapter.name].map(String::from);
                rows.push([&cells[..], &[duration(was.median), duration(row.median), format!("{ratio:.2}×")]].concat());
            }
        }
    }
    if logs.is_empty() {
        return "compare: no row in common (adapter, op, what and shape must agree)\n".into();
    }
    let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
    format!("{}geometric mean of {} rows: {mean:.2}×\n", aligned(&rows), logs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(median: f64) -> Report {
        let row = Row { op: "rowwise".into(), shape: "R1".into(), median, ..Row::default() };
        Report { adapters: vec![AdapterReport { rows: vec![row], ..AdapterReport::default() }], ..Report::default() }
    }

    #[test]
    fn a_comparison_gives_the_ratio() {
        let text = comparison(&report(3.0), &report(2.0));
        assert!(text.contains("1.50×") && text.contains("of 1 rows"), "{text}");
        assert!(comparison(&Report::default(), &report(2.0)).contains("no row in common"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([1.5, 0.0025, 0.0000125].map(duration), ["1.50 s", "2.50 ms", "12.5 µs"]);
    }
}
