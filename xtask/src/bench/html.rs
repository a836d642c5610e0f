//! report.html: one file, nothing loaded from elsewhere, light or dark as the reader's system is.

use std::fmt::Write;

use anyhow::Result;

use super::plots::{SERIES, errors, roofline, throughput};
use super::report::{AdapterReport, Report, Row};
use super::table::{HEADS, RIGHT, cells, number};
use crate::page::{END, begin, date, escape, pairs, tile};

/// Ceilings and verdicts in large figures.
fn tiles(page: &mut String, adapter: &AdapterReport) {
    page.push_str("<div class=\"tiles\">\n");
    for v in &adapter.verdicts {
        let word = if v.percent >= 0.0 { "faster" } else { "slower" };
        let what = format!("sigmoid against softmax, {} ({} shapes)", v.direction, v.shapes);
        tile(page, &format!("{:.1} % {word}", v.percent.abs()), &what);
    }
    let best =
        adapter.rows.iter().filter(|r| r.op.starts_with("attention")).max_by(|a, b| a.gflops.total_cmp(&b.gflops));
    if let Some(best) = best {
        let what = format!("best attention: {} {}", best.label, best.shape);
        tile(page, &format!("{} GFLOP/s", number(best.gflops)), &what);
    }
    tile(page, &format!("{} GFLOP/s", number(adapter.ceilings.f32_gflops)), "ceiling: f32 multiply-adds");
    if let Some(f16) = adapter.ceilings.f16_gflops {
        tile(page, &format!("{} GFLOP/s", number(f16)), "ceiling: f16 multiply-adds");
    }
    tile(page, &format!("{} GB/s", number(adapter.ceilings.copy_gbs)), "ceiling: copy, reads and writes");
    page.push_str("</div>\n");
    if !adapter.goals.is_empty() {
        page.push_str("<ul>\n");
        for goal in &adapter.goals {
            let _ = writeln!(page, "<li>{}</li>", escape(&goal.line()));
        }
        page.push_str("</ul>\n");
    }
}

/// A plot with its caption and a legend of the series that it shows.
fn figure(page: &mut String, caption: &str, svg: &str, rows: &[&Row]) {
    let _ = write!(page, "<figure><figcaption>{}</figcaption>\n{svg}\n<div class=\"legend\">", escape(caption));
    for s in SERIES.iter().filter(|s| rows.iter().any(|r| s.has(r))) {
        let _ = write!(page, "<span><i style=\"background:var({})\"></i>{}</span>", s.variable, s.name);
    }
    page.push_str("</div></figure>\n");
}

/// Rows alike but for length and function, with a caption, in order of appearance.
fn families(rows: &[Row]) -> Vec<(String, Vec<&Row>)> {
    let mut found: Vec<(String, Vec<&Row>)> = Vec::new();
    // Steps of decoding have no series: they are in the table.
    for row in rows.iter().filter(|row| SERIES.iter().any(|s| s.has(row))) {
        let name = if row.by_bytes {
            format!("Row-wise softmax, {}", row.dtype)
        } else if row.function == "product" {
            format!("Matrix products, {}", row.dtype)
        } else {
            let mask = if row.causal { "causal" } else { "full" };
            format!("Attention, {mask}, {}, head dimension {}", row.dtype, row.head_dim)
        };
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, family)) => family.push(row),
            None => found.push((name, vec![row])),
        }
    }
    found.sort_by_key(|(_, family)| family[0].by_bytes);
    found
}

fn plots(page: &mut String, adapter: &AdapterReport) -> Result<()> {
    page.push_str("<h3>Throughput, roofline, error</h3>\n<div class=\"plots\">\n");
    for (name, family) in families(&adapter.rows) {
        if let Some(svg) = throughput(&family)? {
            figure(page, &name, &svg, &family);
        }
    }
    let all: Vec<_> = adapter.rows.iter().collect();
    if let Some(svg) = roofline(&adapter.rows, &adapter.ceilings)? {
        figure(page, "Roofline: the line is what this adapter can do at most", &svg, &all);
    }
    if let Some(svg) = errors(&adapter.rows)? {
        figure(page, "Largest error against the f64 reference, as a share of its proven bound", &svg, &[]);
    }
    page.push_str("</div>\n");
    Ok(())
}

fn table(page: &mut String, adapter: &AdapterReport) {
    page.push_str("<h3>Measurements</h3>\n<div class=\"wide\"><table><tr>");
    let align = |column: usize| if column < RIGHT { "" } else { " class=\"right\"" };
    for (column, head) in HEADS.iter().enumerate() {
        let _ = write!(page, "<th{}>{head}</th>", align(column));
    }
    page.push_str("</tr>\n");
    for row in &adapter.rows {
        page.push_str("<tr>");
        for (column, cell) in cells(row).iter().enumerate() {
            let cell = escape(cell);
            let title = escape(&format!("{}; {} runs, {}", row.variants.join(", "), row.runs, row.check));
            let _ = match HEADS[column] {
                "variant" => write!(page, "<td title=\"{title}\">{cell}</td>"),
                "of ceiling" => {
                    let part = (row.share * 100.0).clamp(0.0, 100.0);
                    write!(page, "<td class=\"right share\" style=\"--part:{part:.1}%\">{cell}</td>")
                }
                _ => write!(page, "<td{}>{cell}</td>", align(column)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str(
        "</table></div>\n<p class=\"soft\">Median over the runs; spread is half of the interquartile range. ",
    );
    page.push_str("Rate by the op's definition: 4·B·H·T²·D FLOPs forward, half if causal, 2.5 times that backward; row-wise ops in bytes ");
    page.push_str("that must move. Ceiling: multiply-adds for attention, copy for row-wise ops. * host clock.</p>\n");
    for failure in &adapter.failures {
        let _ = writeln!(page, "<p class=\"bad\">Failed: {}</p>", escape(failure));
    }
    for left in &adapter.left_out {
        let _ = writeln!(page, "<p class=\"soft\">Left out: {}</p>", escape(left));
    }
}

fn adapter(page: &mut String, adapter: &AdapterReport) -> Result<()> {
    let _ = write!(
        page,
        "<h2>{}</h2>\n<p class=\"soft\">{}, {}, {}</p>\n",
        escape(&adapter.name),
        escape(&adapter.kind),
        escape(&adapter.backend),
        escape(&adapter.driver)
    );
    tiles(page, adapter);
    plots(page, adapter)?;
    table(page, adapter);
    page.push_str("<h3>What the probe found, and what was checked before timing</h3>\n<div class=\"pairs\">\n");
    pairs(page, adapter.probe.iter().cloned());
    let checked = adapter.checked.iter().map(|c| {
        let verdict = if c.failure.is_some() { "FAILED" } else { "passed" };
        (c.op.clone(), format!("{} cases {verdict}, worst error ÷ bound {:.3}", c.cases, c.worst_ratio))
    });
    pairs(page, checked.chain(adapter.limits.iter().cloned()));
    page.push_str("</div>\n");
    Ok(())
}

/// The whole page.
pub(super) fn page(report: &Report) -> Result<String> {
    let mut page = begin("Gatefold bench");
    let Report { version, mode, host, unix_time, .. } = report;
    let _ = writeln!(page, "<p class=\"soft\">version {version}, {mode}, {}, {}</p>", escape(host), date(*unix_time));
    for one in &report.adapters {
        adapter(&mut page, one)?;
    }
    page.push_str(END);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_nothing() {
        let row = Row { variants: vec!["a<b".into()], function: "sigmoid".into(), head_dim: 64, ..Row::default() };
        let one = AdapterReport { name: "A & B".into(), rows: vec![row], ..AdapterReport::default() };
        let page = page(&Report { adapters: vec![one], ..Report::default() }).unwrap();
        assert!(page.contains("A &amp; B") && !page.contains("<script") && !page.contains("src="), "{page}");
        assert!(!page.contains("http:") && !page.contains("https:") || page.contains("www.w3.org/2000/svg"));
    }
}
