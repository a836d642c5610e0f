//! What the project set out to reach on software drivers, beside what was measured. On GPUs the goals are about machine code: `cargo xtask isa`.

use gatefold_core::attention::PRESETS;
use serde::{Deserialize, Serialize};

use super::report::{AdapterReport, Row};
use super::routing::MOVED;
use super::table::number;

/// A goal and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Goal {
    /// What is measured, with its unit.
    pub(super) what: String,
    /// The least that was wished for.
    pub(super) least: f64,
    /// What was measured.
    pub(super) measured: f64,
}

impl Goal {
    /// Whether the goal is met.
    pub(super) fn met(&self) -> bool {
        self.measured >= self.least
    }

    /// A line for a terminal.
    pub(super) fn line(&self) -> String {
        let mark = if self.met() { "✓" } else { "✗" };
        format!("{mark} {}: {} (goal {})", self.what, number(self.measured), number(self.least))
    }
}

/// Rows of one op, in a form that is easy to pick from.
struct Rows<'a>(&'a [Row]);

impl<'a> Rows<'a> {
    fn all(&self, op: &'a str, dtype: &'a str, causal: bool, head_dim: usize) -> impl Iterator<Item = &'a Row> {
        let wanted = move |r: &&Row| {
            let alike = r.op == op && r.dtype == dtype && r.causal == causal && r.head_dim == head_dim;
            alike && !r.by_bytes && ["softmax", "sigmoid"].contains(&r.function.as_str())
        };
        self.0.iter().filter(wanted)
    }

    /// Rate of the slower of softmax and sigmoid at this length.
    fn attention(&self, op: &'a str, dtype: &'a str, causal: bool, head_dim: usize, length: usize) -> Option<f64> {
        let rates = self.all(op, dtype, causal, head_dim).filter(|r| r.length == length).map(|r| r.gflops);
        rates.reduce(f64::min)
    }

    /// Lengths of the forward pass at this width, full and f32, from 256 on.
    fn lengths(&self, head_dim: usize) -> Vec<usize> {
        let rows = self.all("attention", "f32", false, head_dim).filter(|r| r.length >= 256);
        let mut all: Vec<_> = rows.map(|r| r.length).collect();
        all.dedup();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Time of the full forward pass ÷ time of the causal one, softmax, at the longest length.
    fn causal_gain(&self) -> Option<f64> {
        let longest = *self.lengths(64).last()?;
        let time = |causal| {
            let mut rows = self.all("attention", "f32", causal, 64);
            rows.find(|r| r.length == longest && r.function == "softmax").map(|r| r.median)
        };
        Some(time(false)? / time(true)?)
    }

    /// Rate of f16 ÷ rate of f32 at the longest length that has both.
    fn f16_gain(&self) -> Option<f64> {
        let rate = |dtype, length| self.attention("attention", dtype, false, 64, length);
        self.lengths(64).into_iter().rev().find_map(|n| Some(rate("f16", n)? / rate("f32", n)?))
    }

    /// The preset that takes longest against plain softmax with the same mask and shape, and softmax's time ÷ its time.
    fn slowest_preset(&self, op: &str, wanted: impl Fn(&str) -> bool) -> Option<(String, f64)> {
        let plain = |r: &Row| {
            let is = |p: &&Row| p.function == "softmax" && (&p.op, &p.shape, &p.dtype) == (&r.op, &r.shape, &r.dtype);
            self.0.iter().find(|p| is(p) && p.causal == r.causal).map(|p| p.median)
        };
        let presets = self.0.iter().filter(|r| {
            r.op == op && PRESETS.iter().any(|p| p.name == r.function) && wanted(&r.function) && !r.by_bytes
        });
        presets.filter_map(|r| Some((r.function.clone(), plain(r)? / r.median))).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Bytes that routing cannot but move, ÷ the time of plan, dispatch and combine: in GB/s.
    fn routed_gbs(&self) -> Option<f64> {
        let row = |function: &str| self.0.iter().find(|r| r.function == function);
        let (plan, dispatch, combine) = (row("plan")?, row("dispatch")?, row("combine")?);
        let [tokens, top_k, hidden] = MOVED.map(|n| n as f64);
        let bytes = 4.0 * tokens * hidden * (2.0 * top_k + 1.0);
        Some(bytes / (plan.median + dispatch.median + combine.median) * 1e-9)
    }

    /// The dense product's time ÷ that of the experts' products of as many FLOPs.
    fn grouped(&self, load: &str) -> Option<f64> {
        let grouped = self.0.iter().find(|r| r.function == load)?;
        let alike = |r: &&Row| r.function == "product" && r.flops == grouped.flops && r.dtype == grouped.dtype;
        Some(self.0.iter().find(alike)?.median / grouped.median)
    }

    /// Rate of the worst length ÷ rate of the best.
    fn evenness(&self) -> Option<f64> {
        let rates: Vec<_> =
            self.lengths(64).iter().filter_map(|&n| self.attention("attention", "f32", false, 64, n)).collect();
        let (least, most) = (rates.iter().copied().reduce(f64::min)?, rates.iter().copied().reduce(f64::max)?);
        (rates.len() > 1).then_some(least / most)
    }
}

/// The goals that the rows of a software driver say something about; none for other adapters.
pub(super) fn goals(report: &AdapterReport) -> Vec<Goal> {
    let rows = Rows(&report.rows);
    let is = |part: &str| report.name.to_lowercase().contains(part) || report.driver.to_lowercase().contains(part);
    let mut all = Vec::new();
    let mut add = |what: &str, least: f64, measured: Option<f64>| {
        all.extend(measured.map(|measured| Goal { what: what.into(), least, measured }));
    };
    if is("swiftshader") {
        let best =
            rows.lengths(64).iter().filter_map(|&n| rows.attention("attention", "f32", false, 64, n)).reduce(f64::max);
        add("attention forward D64, GFLOP/s: 5 × ONNX Runtime WebGPU on this driver", 4.5, best);
    }
    if is("llvmpipe") {
        let forward = |head_dim, length| rows.attention("attention", "f32", false, head_dim, length);
        add("attention forward f32 T1024 D64, GFLOP/s", 45.0, forward(64, 1024));
        add("attention forward f32 T1024 D128, GFLOP/s", 45.0, forward(128, 1024));
        let backward = rows.attention("attention_backward", "f32", false, 64, 1024);
        add("attention backward f32 T1024 D64, GFLOP/s", 25.0, backward);
        let long = forward(64, 16_384).and_then(|long| Some(long / forward(64, 1024)?));
        add("attention forward at T16384 ÷ at T1024", 1.0, long);
        add("causal against full, softmax forward, times faster", 1.8, rows.causal_gain());
        add("f16 storage ÷ f32, attention forward", 1.0, rows.f16_gain());
        add("worst length ÷ best length, attention forward", 0.85, rows.evenness());
        let cube =
            report.rows.iter().find(|r| r.op == "gemm" && r.dtype == "f32" && r.shape.contains("M1024 N1024 K1024"));
        add("product 1024³ f32, GFLOP/s", 36.0, cube.map(|r| r.gflops));
        let softmax = report.rows.iter().filter(|r| r.op == "rowwise" && r.dtype == "f32").map(|r| r.share);
        add("row softmax f32 ÷ measured copy, worst shape", 0.85, softmax.reduce(f64::min));
        let routed = rows.routed_gbs().map(|gbs| gbs / report.ceilings.copy_gbs);
        add("plan, dispatch and combine ÷ measured copy", 0.5, routed);
        add("experts' products, even load ÷ dense product", 0.9, rows.grouped("balanced"));
        add("experts' products, Zipf's load ÷ dense product", 0.75, rows.grouped("zipf"));
    }
    for (op, what) in [("attention", "forward"), ("attention_backward", "backward")] {
        let gates = |name: &str| matches!(name, "gated_element" | "gated_head");
        let mut against = |least: f64, found: Option<(String, f64)>| {
            if let Some((name, ratio)) = found {
                add(&format!("plain softmax's time ÷ that of {name}, {what}"), least, Some(ratio));
            }
        };
        against(0.91, rows.slowest_preset(op, |name| !gates(name)));
        if op == "attention" {
            against(0.98, rows.slowest_preset(op, gates));
        }
    }
    for verdict in &report.verdicts {
        let what = format!("sigmoid against softmax, {}, percent faster", verdict.direction);
        add(&what, 0.0, Some(verdict.percent));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(causal: bool, length: usize, median: f64, gflops: f64) -> Row {
        let (op, dtype, function) = ("attention".into(), "f32".into(), "softmax".into());
        Row { op, dtype, function, causal, length, median, gflops, head_dim: 64, ..Row::default() }
    }

    #[test]
    fn goals_are_for_the_driver_at_hand() {
        let rows = vec![row(false, 512, 1.0, 40.0), row(false, 1024, 4.0, 44.0), row(true, 1024, 2.0, 40.0)];
        let mut report = AdapterReport { name: "llvmpipe".into(), rows, ..AdapterReport::default() };
        let found = goals(&report);
        let of = |part: &str| found.iter().find(|g| g.what.contains(part)).map(|g| (g.measured, g.met()));
        assert_eq!(of("T1024 D64"), Some((44.0, false)));
        assert_eq!(of("causal against full"), Some((2.0, true)));
        assert_eq!(of("worst length"), Some((40.0 / 44.0, true)));
        assert_eq!(of("T16384"), None);
        report.name = "a GPU".into();
        assert!(goals(&report).is_empty());
    }
}
