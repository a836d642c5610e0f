//! Plots as SVG. Colours are written as marks that become CSS variables, so that one drawing fits light and dark pages.

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::report::{Ceilings, Row};
use super::table::number;

/// Size of a drawing; the page scales it.
const SIZE: (u32, u32) = (640, 380);

/// A mark in the drawing and the CSS variable that it becomes.
const INK: (RGBColor, &str) = (RGBColor(1, 2, 3), "--ink");
const GRID: (RGBColor, &str) = (RGBColor(4, 5, 6), "--grid");
const ROOF: (RGBColor, &str) = (RGBColor(7, 8, 9), "--roof");

/// What is drawn in one colour.
pub(super) struct Series {
    /// For the legend.
    pub(super) name: &'static str,
    /// CSS variable of its colour.
    pub(super) variable: &'static str,
    mark: RGBColor,
    function: &'static str,
    backward: bool,
    rowwise: bool,
}

const fn series(
    name: &'static str,
    variable: &'static str,
    mark: u8,
    (function, backward, rowwise): (&'static str, bool, bool),
) -> Series {
    Series { name, variable, mark: RGBColor(mark, 11, 12), function, backward, rowwise }
}

/// Every series, in the order of the legends.
pub(super) const SERIES: [Series; 7] = [
    series("softmax attention", "--softmax", 20, ("softmax", false, false)),
    series("sigmoid attention", "--sigmoid", 21, ("sigmoid", false, false)),
    series("softmax attention, backward", "--softmax-back", 22, ("softmax", true, false)),
    series("sigmoid attention, backward", "--sigmoid-back", 23, ("sigmoid", true, false)),
    series("row-wise softmax", "--rowwise", 24, ("softmax", false, true)),
    series("row-wise softmax, backward", "--rowwise-back", 25, ("softmax", true, true)),
    series("matrix product", "--product", 26, ("product", false, false)),
];

impl Series {
    /// Whether a row is drawn in this colour.
    pub(super) fn has(&self, row: &Row) -> bool {
        self.function == row.function && self.backward == row.backward && self.rowwise == row.by_bytes
    }
}

/// Marks become variables, and the page decides about the size.
fn themed(svg: &str) -> String {
    let colour = |c: RGBColor| format!("\"#{:02X}{:02X}{:02X}\"", c.0, c.1, c.2);
    let mut text = svg.replacen(&format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1), "", 1);
    let own = [INK, GRID, ROOF].into_iter().chain(SERIES.iter().map(|s| (s.mark, s.variable)));
    for (mark, variable) in own {
        text = text.replace(&colour(mark), &format!("\"var({variable})\""));
    }
    text
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes: ranges, names and how a tick is written (empty: not at all).
struct Axes<'a> {
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
    names: [&'a str; 2],
    ticks: [usize; 2],
    write: [&'a dyn Fn(f64) -> String; 2],
    /// Room for the numbers at the left.
    left: u32,
}

/// The range, or one that can be drawn if it is empty or not finite: the ticks of such a range would never end.
fn spread(range: &std::ops::Range<f64>) -> std::ops::Range<f64> {
    let finite = range.start.is_finite() && range.end.is_finite();
    match range {
        r if finite && r.end - r.start > 1e-9 => r.clone(),
        r if finite => r.start..r.start + 1.0,
        _ => 0.0..1.0,
    }
}

/// Draws axes and whatever `content` adds.
fn draw(axes: &Axes<'_>, content: impl FnOnce(&mut Chart<'_, '_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(axes.left)
            .build_cartesian_2d(spread(&axes.x), spread(&axes.y))
            .map_err(|e| anyhow!("axes: {e}"))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.0)
            .axis_style(GRID.0)
            .label_style(("sans-serif", 14).into_font().color(&INK.0))
            .axis_desc_style(("sans-serif", 14).into_font().color(&INK.0))
            .x_labels(axes.ticks[0])
            .y_labels(axes.ticks[1])
            .x_desc(axes.names[0])
            .y_desc(axes.names[1])
            .x_label_formatter(&|x| (axes.write[0])(*x))
            .y_label_formatter(&|y| (axes.write[1])(*y))
            .draw()
            .map_err(|e| anyhow!("mesh: {e}"))?;
        content(&mut chart)?;
        area.present().map_err(|e| anyhow!("plot: {e}"))?;
    }
    Ok(themed(&svg))
}

/// A tick of a logarithmic axis to the base `base`: whole powers only.
fn power(base: f64, x: f64) -> String {
    if (x - x.round()).abs() > 1e-6 {
        return String::new();
    }
    match base.powf(x.round()) {
        v if v >= 1e6 => format!("{}M", number(v / 1e6).trim_end_matches('0').trim_end_matches('.')),
        v if v >= 1e4 && base > 2.0 => format!("{}k", v / 1e3),
        v => format!("{v}"),
    }
}

fn failed<E: std::error::Error + Send + Sync>(e: plotters::drawing::DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("plot: {e}")
}

/// A line with a dot at every point; dashed for gradients.
fn line(chart: &mut Chart<'_, '_>, series: &Series, points: &[(f64, f64)]) -> Result<()> {
    let style = series.mark.stroke_width(2);
    if series.backward {
        chart.draw_series(DashedLineSeries::new(points.iter().copied(), 7, 5, style)).map_err(failed)?;
    } else {
        chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(failed)?;
    }
    let dots = points.iter().map(|&p| Circle::new(p, 4, series.mark.filled()));
    chart.draw_series(dots).map_err(failed)?;
    Ok(())
}

/// Throughput over sequence length, of rows alike but for length and function. `None` with fewer than two lengths.
pub(super) fn throughput(rows: &[&Row]) -> Result<Option<String>> {
    let by_bytes = rows.iter().any(|r| r.by_bytes);
    let value = |r: &Row| if by_bytes { r.gbs } else { r.gflops };
    let place = |r: &Row| (r.length.max(1) as f64).log2();
    let lengths: Vec<f64> = rows.iter().map(|r| place(r)).collect();
    let low = lengths.iter().copied().fold(f64::INFINITY, f64::min);
    let high = lengths.iter().copied().fold(0.0, f64::max);
    let top = rows.iter().map(|r| value(r)).fold(0.0, f64::max) * 1.12;
    // Endless axes would never be drawn to their end.
    if high <= low || !(top > 0.0 && top.is_finite()) {
        return Ok(None);
    }
    let axes = Axes {
        x: low - 0.15..high + 0.15,
        y: 0.0..top,
        names: if by_bytes { ["length of a row", "GB/s"] } else { ["sequence length", "GFLOP/s"] },
        ticks: [if high - low > 6.0 { 8 } else { 12 }, 6],
        write: [&|x| power(2.0, x), &|y| if y == 0.0 { "0".into() } else { number(y).trim_end_matches(".0").into() }],
        left: 66,
    };
    let svg = draw(&axes, |chart| {
        for series in &SERIES {
            let of = rows.iter().filter(|r| series.has(r));
            let mut points: Vec<_> = of.map(|r| (place(r), value(r))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            line(chart, series, &points)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

/// Roofline: FLOPs per byte against GFLOP/s, under what the adapter can do at most.
pub(super) fn roofline(rows: &[Row], ceilings: &Ceilings) -> Result<Option<String>> {
    let intensity = |r: &&Row| (r.flops / r.bytes.max(1.0)).max(1e-3);
    let rows: Vec<_> = rows.iter().filter(|r| r.gflops > 0.0 && r.gflops.is_finite()).collect();
    if rows.is_empty() || ceilings.f32_gflops <= 0.0 || ceilings.copy_gbs <= 0.0 {
        return Ok(None);
    }
    let ridge = ceilings.f32_gflops / ceilings.copy_gbs;
    let least = rows.iter().map(intensity).fold(ridge, f64::min).log10().floor();
    let most = rows.iter().map(intensity).fold(ridge, f64::max).log10().ceil();
    let lowest = rows.iter().map(|r| r.gflops).fold(ceilings.f32_gflops, f64::min).max(1e-6);
    let highest = rows.iter().map(|r| r.gflops).fold(ceilings.f32_gflops, f64::max) * 1.3;
    let bottom = lowest.log10().floor();
    let axes = Axes {
        x: least..most.max(least + 1.0),
        y: bottom..highest.log10(),
        names: ["FLOPs per byte that must move", "GFLOP/s"],
        ticks: [8, 8],
        write: [&|x| power(10.0, x), &|y| power(10.0, y)],
        left: 66,
    };
    let roof_at = |x: f64| ceilings.f32_gflops.min(10f64.powf(x) * ceilings.copy_gbs).log10();
    let svg = draw(&axes, |chart| {
        let corners = [axes.x.start, ridge.log10(), axes.x.end].map(|x| (x, roof_at(x)));
        let visible = corners.map(|(x, y)| (x, y.max(bottom)));
        chart.draw_series(LineSeries::new(visible, ROOF.0.stroke_width(2))).map_err(failed)?;
        for series in &SERIES {
            let of = rows.iter().filter(|r| series.has(r));
            let dots = of.map(|r| Circle::new((intensity(r).log10(), r.gflops.log10()), 4, series.mark.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

/// Error ÷ bound, a dot for every timed row and one line of dots per series; right of the line at 1 would be wrong.
pub(super) fn errors(rows: &[Row]) -> Result<Option<String>> {
    let shown: Vec<_> = SERIES.iter().filter(|s| rows.iter().any(|r| s.has(r))).collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let ratio = |r: &Row| r.error_ratio.max(1e-4).log10();
    let least = rows.iter().map(ratio).fold(-1.0, f64::min).floor();
    let count = shown.len();
    let place = |at: usize| (count - at) as f64;
    let name = |y: f64| {
        let at = shown.iter().enumerate().find(|(at, _)| (place(*at) - y).abs() < 1e-6);
        at.map_or(String::new(), |(_, s)| s.name.to_string())
    };
    let axes = Axes {
        x: least..0.35,
        y: 0.4..count as f64 + 0.6,
        names: ["error ÷ bound: 1 and less is right", ""],
        ticks: [6, count + 1],
        write: [&|x| power(10.0, x), &name],
        left: 200,
    };
    let svg = draw(&axes, |chart| {
        let limit = [(0.0, axes.y.start), (0.0, axes.y.end)];
        chart.draw_series(LineSeries::new(limit, ROOF.0.stroke_width(2))).map_err(failed)?;
        for (at, series) in shown.iter().enumerate() {
            let of = rows.iter().filter(|r| series.has(r));
            let dots = of.map(|r| Circle::new((ratio(r), place(at)), 5, series.mark.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(length: usize) -> Row {
        Row {
            function: "sigmoid".into(),
            head_dim: 64,
            length,
            gflops: 12.0,
            flops: 1e9,
            bytes: 1e6,
            error_ratio: 0.1,
            ..Row::default()
        }
    }

    #[test]
    fn plots_take_their_colours_from_the_page() {
        let (a, b) = (row(256), row(512));
        let svg = throughput(&[&a, &b]).unwrap().unwrap();
        assert!(svg.contains("var(--sigmoid)") && svg.contains("var(--ink)") && !svg.contains("#010203"), "{svg}");
        assert!(svg.contains("256") && svg.contains("512"));
        assert!(throughput(&[&a]).unwrap().is_none());
    }

    #[test]
    fn roof_and_errors_are_drawn() {
        let ceilings = Ceilings { f32_gflops: 100.0, f16_gflops: None, copy_gbs: 5.0 };
        assert!(roofline(&[row(256)], &ceilings).unwrap().unwrap().contains("var(--roof)"));
        assert!(errors(&[row(256)]).unwrap().unwrap().contains("sigmoid attention"));
    }
}
