//! The report on a terminal, as a table that can go into a document as it is.

use std::fmt::Write;

use crate::report::{Entry, Report, Row};

/// Seconds in a unit that reads well.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}

/// Three significant digits.
fn number(x: f64) -> String {
    match x.abs() {
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// Median with the fastest and the slowest sample.
fn times(entry: &Entry) -> String {
    format!("{} ({} to {})", duration(entry.median), duration(entry.fastest), duration(entry.slowest))
}

/// One case as it is done.
pub(crate) fn lines(row: &Row) -> String {
    let mut text = String::new();
    for entry in &row.entries {
        let _ = match &entry.failure {
            Some(why) => writeln!(text, "  {}: {why}", entry.who),
            None => writeln!(
                text,
                "  {}: then {}, {} samples, {} GFLOP/s{}",
                entry.who,
                times(entry),
                entry.samples.len(),
                number(entry.gflops),
                entry.error_ratio.map_or(String::new(), |r| format!(", error/B {r:.3}"))
            ),
        };
    }
    text
}

fn cells(row: &Row, entry: &Entry) -> [String; 7] {
    let left = |text: String| [row.title.clone(), entry.who.clone(), text].map(|t| t.replace('|', "/"));
    let [title, who, first] = left(match &entry.failure {
        Some(why) => why.clone(),
        None => duration(entry.first),
    });
    if !entry.counts() {
        return [title, who, first, String::new(), String::new(), String::new(), String::new()];
    }
    let error = entry.error_ratio.map_or("".into(), |r| format!("{r:.3}"));
    let ratio = entry.gatefold_ratio.map_or("".into(), |r| format!("{}×", number(r)));
    [title, who, first, times(entry), format!("{} GFLOP/s", number(entry.gflops)), error, ratio]
}

const HEADS: [&str; 7] = ["what", "who", "first call", "median (range)", "rate", "error ÷ B", "gatefold ÷ it"];

/// All of it.
pub(crate) fn table(report: &Report) -> String {
    let mut rows = vec![HEADS.map(String::from)];
    rows.extend(report.rows.iter().flat_map(|row| row.entries.iter().map(|entry| cells(row, entry))));
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text =
        format!("{} ({}, {}, {}); {}\n", report.adapter, report.kind, report.backend, report.driver, report.host);
    for peer in &report.peers {
        let _ = writeln!(text, "{} {}: {}", peer.name, peer.version, peer.how);
    }
    text.push('\n');
    for (at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "| {cell}{} ", " ".repeat(width - cell.chars().count()));
        }
        text.push_str("|\n");
        if at == 0 {
            widths.iter().for_each(|w| text.push_str(&format!("|{}", "-".repeat(w + 2))));
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_takes_the_place_of_times() {
        let sound = Entry { who: "a".into(), median: 0.002, samples: vec![0.002], gflops: 12.34, ..Entry::default() };
        let failed = Entry { who: "b".into(), failure: Some("it panicked: no".into()), ..Entry::default() };
        let rows = vec![Row { title: "t".into(), flops: 1.0, entries: vec![sound, failed] }];
        let text = table(&Report { rows, ..Report::default() });
        assert!(
            text.contains("2.00 ms") && text.contains("12.3 GFLOP/s") && text.contains("it panicked: no"),
            "{text}"
        );
        assert!(lines(&Row::default()).is_empty());
    }
}
