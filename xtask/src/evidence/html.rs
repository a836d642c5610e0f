//! The page of conformance reports.

use std::fmt::Write;

use gatefold_tests::report::{GOALS, OpReport, Report};

use crate::page::{END, begin, date, escape, pairs, tile};

/// A number with a comma between thousands.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn tiles(page: &mut String, report: &Report) {
    let ran: usize = report.ops.iter().map(|o| o.passed + o.failed + o.expected_failures).sum();
    let elements: usize = report.ops.iter().map(|o| o.elements).sum();
    let worst = report.worst_ratio();
    page.push_str("<div class=\"tiles\">\n");
    tile(page, &grouped(ran), "cases against the f64 reference");
    tile(page, &grouped(elements), "elements, each within a bound of its own");
    tile(page, &grouped(report.failures.len()), "cases that did not do what was expected");
    tile(page, &format!("{worst:.3}"), &format!("worst error ÷ bound; this adapter's gate is {:.2}", report.gate));
    tile(page, &format!("{:.0} s", report.seconds), "for all of it");
    page.push_str("</div>\n");
}

const HEADS: [&str; 14] = [
    "op",
    "cases",
    "varied",
    "passed",
    "failed",
    "declared",
    "not supported",
    "worst error ÷ bound",
    "margin",
    "99.9 %",
    "NMSE f32",
    "ULP",
    "× plain f32",
    "beyond goals",
];

fn cells(op: &OpReport, gate: f64) -> [String; 14] {
    let margin = if op.worst_ratio > 0.0 { format!("{:.1} ×", gate / op.worst_ratio) } else { "exact".into() };
    [
        op.op.clone(),
        grouped(op.cases),
        grouped(op.varied),
        grouped(op.passed),
        op.failed.to_string(),
        op.expected_failures.to_string(),
        grouped(op.unsupported),
        format!("{:.4}", op.worst_ratio),
        margin,
        format!("{:.4}", op.p999_ratio),
        format!("{:.1e}", op.worst_nmse_f32),
        format!("{:.0}", op.worst_ulp),
        format!("{:.2}", op.worst_flash),
        op.beyond_goals.map_or_else(|| "–".into(), |n| n.map(grouped).join(" · ")),
    ]
}

fn table(page: &mut String, report: &Report) {
    page.push_str("<h3>By op</h3>\n<div class=\"wide\"><table><tr>");
    for (column, head) in HEADS.iter().enumerate() {
        let _ = write!(page, "<th{}>{head}</th>", if column == 0 { "" } else { " class=\"right\"" });
    }
    page.push_str("</tr>\n");
    for op in &report.ops {
        page.push_str("<tr>");
        for (column, cell) in cells(op, report.gate).iter().enumerate() {
            let cell = escape(cell);
            let _ = match column {
                0 => write!(page, "<td>{cell}</td>"),
                4 if op.failed > 0 => write!(page, "<td class=\"right bad\">{cell}</td>"),
                7 => {
                    let part = (100.0 * op.worst_ratio / report.gate.max(1e-9)).clamp(0.0, 100.0);
                    let title = format!("cargo xtask repro {} {}", op.op, op.worst_seed);
                    write!(page, "<td class=\"right share\" style=\"--part:{part:.1}%\" title=\"{title}\">{cell}</td>")
                }
                _ => write!(page, "<td class=\"right\">{cell}</td>"),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n<p class=\"soft\">Every element has a bound of its own, derived from its inputs; an error ÷ bound above 1 is wrong ");
    page.push_str("on any adapter. Margin: the adapter's gate ÷ the worst. Varied: planned cases with other contents and sizes. × plain f32: the largest error ");
    page.push_str(
        "over that of a plain f32 evaluation, FlashAttention's measure (it allows 2 to 3), in one case of eight. ",
    );
    let [ratio, nmse, flash] = GOALS;
    let _ = write!(
        page,
        "Beyond goals: cases above {ratio} of their bound, above an NMSE of {nmse:e} in f32, above {flash} × plain f32. "
    );
    page.push_str("ULP: of elements that are not small beside their output. ");
    let _ =
        writeln!(page, "Seeds from {}; point at a worst error for the command that replays it.</p>", report.first_seed);
}

/// What is behind a line that can be opened.
fn details(page: &mut String, summary: &str, rows: Vec<(String, String)>) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(page, "<details><summary>{}</summary>", escape(summary));
    pairs(page, rows.into_iter());
    page.push_str("</details>\n");
}

fn adapter(page: &mut String, report: &Report) {
    let _ = writeln!(page, "<h2>{}</h2>", escape(&report.adapter));
    let stack = if report.stack.is_empty() { "" } else { "stack " };
    let about = [
        format!("{stack}{}", report.stack),
        format!("version {}", report.version),
        date(report.unix_time),
        report.features.join(", "),
    ];
    let _ = writeln!(page, "<p class=\"soft\">{}</p>", escape(about.join("; ").trim_start_matches("; ")));
    tiles(page, report);
    for (case, why) in &report.failures {
        let text =
            format!("FAILED {} seed {} [{}, {}, {}]: {why}", case.op, case.seed, case.label, case.size, case.profile);
        let _ = writeln!(page, "<p class=\"bad\">{}</p>", escape(&text));
    }
    for crash in &report.crashes {
        let _ = writeln!(page, "<p class=\"bad\">CRASHED {}</p>", escape(crash));
    }
    table(page, report);
    let finding = |line: &str| line.split_once(": ").map(|(what, found)| (what.to_string(), found.to_string()));
    details(page, "What the opening probe found", report.probe.lines().filter_map(finding).collect());
    let groups = report.ops.iter().flat_map(|o| o.groups.iter().map(move |g| (o, g)));
    let kind = |(o, g): (&OpReport, &gatefold_tests::report::Group)| {
        (format!("{} {}", o.op, g.name), format!("{} cases, error ÷ bound {:.4}: {}", g.cases, g.worst_ratio, g.worst))
    };
    details(page, "Every kind of case, with its worst element", groups.map(kind).collect());
}

/// The whole page.
pub(super) fn page(reports: &[Report]) -> String {
    let mut page = begin("Gatefold conformance");
    for report in reports {
        adapter(&mut page, report);
    }
    page.push_str(END);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_page_loads_nothing_and_escapes() {
        let op = OpReport { op: "a<b".into(), failed: 1, ..OpReport::default() };
        let report = Report { adapter: "A & B".into(), ops: vec![op], gate: 0.25, ..Report::default() };
        let page = page(&[report]);
        assert!(page.contains("A &amp; B") && page.contains("a&lt;b") && page.contains("right bad"));
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("http"));
    }
}
