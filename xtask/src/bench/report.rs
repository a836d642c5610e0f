//! report.json: the documented form of a bench. Numbers in base units unless the name says otherwise.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::goals::Goal;

/// Version of the form. A field that is added keeps it; one that changes its meaning or goes raises it.
pub(super) const SCHEMA: u32 = 1;

/// A whole bench: one entry per adapter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// [`SCHEMA`].
    pub(super) schema: u32,
    /// Version of this project.
    pub(super) version: String,
    /// `quick` or `full`.
    pub(super) mode: String,
    /// Seconds since 1970, UTC.
    pub(super) unix_time: u64,
    /// Operating system, processor architecture and count of cores.
    pub(super) host: String,
    /// One per adapter.
    pub(super) adapters: Vec<AdapterReport>,
}

/// One adapter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AdapterReport {
    /// Name by the driver.
    pub(super) name: String,
    /// Kind in words: `discrete GPU`, `software driver`.
    pub(super) kind: String,
    /// `vulkan`, `metal`, `dx12`.
    pub(super) backend: String,
    /// Driver and version.
    pub(super) driver: String,
    /// What the opening probe found, as `(what, finding)`.
    pub(super) probe: Vec<(String, String)>,
    /// Limits that plans are made for, as `(what, value)`.
    pub(super) limits: Vec<(String, String)>,
    /// What it can do at most.
    pub(super) ceilings: Ceilings,
    /// Conformance before timing.
    pub(super) checked: Vec<Checked>,
    /// What was timed.
    pub(super) rows: Vec<Row>,
    /// What was found to be wrong and so not timed.
    pub(super) failures: Vec<String>,
    /// What was not timed for want of time.
    pub(super) left_out: Vec<String>,
    /// Sigmoid against softmax.
    pub(super) verdicts: Vec<Verdict>,
    /// Goals on software drivers, and what was measured.
    #[serde(default)]
    pub(super) goals: Vec<Goal>,
    /// Seconds the bench of this adapter took.
    pub(super) seconds: f64,
}

/// Measured ceilings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ceilings {
    /// f32 multiply-adds in registers, GFLOP/s.
    pub(super) f32_gflops: f64,
    /// f16 multiply-adds in registers, GFLOP/s, if there is f16.
    pub(super) f16_gflops: Option<f64>,
    /// Copy between storage buffers, GB/s, reads and writes together.
    pub(super) copy_gbs: f64,
}

/// Conformance of an op on this adapter, in this process, before it was timed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Checked {
    /// Op name.
    pub(super) op: String,
    /// Cases run.
    pub(super) cases: usize,
    /// Largest error ÷ bound.
    pub(super) worst_ratio: f64,
    /// The first case that failed, in words: then the op is not timed.
    pub(super) failure: Option<String>,
}

/// One op at one shape.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Op name.
    pub(super) op: String,
    /// What is computed: `sigmoid.causal_top_left.f32`.
    pub(super) label: String,
    /// Sizes: `B1 H8 T1024 D64`.
    pub(super) shape: String,
    /// Names of the kernels that ran.
    pub(super) variants: Vec<String>,
    /// The kernel that took most of the time.
    #[serde(default)]
    pub(super) main: String,
    /// `softmax` or `sigmoid` for attention, the function for row-wise ops.
    pub(super) function: String,
    /// Whether it is a gradient.
    pub(super) backward: bool,
    /// Whether there is a causal mask.
    pub(super) causal: bool,
    /// Storage type.
    pub(super) dtype: String,
    /// Sequence length, or length of a row.
    pub(super) length: usize,
    /// Head dimension; 0 for row-wise ops.
    pub(super) head_dim: usize,
    /// Whether bytes bind it rather than multiply-adds: row-wise ops and steps of decoding.
    #[serde(default)]
    pub(super) by_bytes: bool,
    /// Seconds of a run: median, quartiles, and extremes.
    pub(super) median: f64,
    /// First quartile.
    pub(super) quartile_low: f64,
    /// Third quartile.
    pub(super) quartile_high: f64,
    /// Fastest run.
    pub(super) fastest: f64,
    /// Slowest run.
    pub(super) slowest: f64,
    /// Count of timed runs.
    pub(super) runs: usize,
    /// `gpu`: the device's timestamps; `host`: the host's clock, which counts submission too.
    pub(super) clock: String,
    /// By the op's definition.
    pub(super) flops: f64,
    /// Least bytes that must move, by the op's definition.
    pub(super) bytes: f64,
    /// FLOPs per second over the median, × 10⁻⁹.
    pub(super) gflops: f64,
    /// Bytes per second over the median, × 10⁻⁹.
    pub(super) gbs: f64,
    /// Share of the ceiling that binds: f32 multiply-adds for attention, copy bandwidth for row-wise ops.
    pub(super) share: f64,
    /// Largest error ÷ bound of the checks below; at most 1 is right.
    pub(super) error_ratio: f64,
    /// What was checked, in words.
    pub(super) check: String,
    /// Seconds that the first run of these kernels took longer than later ones.
    pub(super) compile: f64,
    /// Bytes of memory beside the operands.
    pub(super) extra_bytes: u64,
}

/// Sigmoid against softmax over the shapes that both were timed at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// `forward` or `backward`.
    pub(super) direction: String,
    /// Geometric mean of softmax time ÷ sigmoid time, minus 1, in percent: positive means that sigmoid is faster.
    pub(super) percent: f64,
    /// Count of shapes.
    pub(super) shapes: usize,
}

impl Row {
    /// What makes two rows the same measurement.
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.op, &self.label, &self.shape)
    }
}

impl Report {
    /// Reads a report.
    pub(super) fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let value: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        if value["schema"] != SCHEMA {
            bail!("{}: expected schema {SCHEMA}, got {}", path.display(), value["schema"]);
        }
        serde_json::from_value(value).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes it.
    pub(super) fn write(&self, path: &std::path::Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the report")?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

/// Sigmoid against softmax, forward and backward, where both were timed at the same shape.
pub(super) fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let mut found = Vec::new();
    for (direction, backward) in [("forward", false), ("backward", true)] {
        let of = |function: &'static str| {
            let wanted = move |r: &&Row| r.function == function && r.backward == backward && !r.by_bytes;
            rows.iter().filter(wanted)
        };
        let same = |a: &Row, b: &Row| (a.causal, &a.dtype, &a.shape) == (b.causal, &b.dtype, &b.shape);
        let pairs = of("softmax").filter_map(|s| Some((s, of("sigmoid").find(|g| same(s, g))?)));
        let logs: Vec<f64> = pairs.map(|(s, g)| (s.median / g.median).ln()).collect();
        if !logs.is_empty() {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            found.push(Verdict {
                direction: direction.into(),
                percent: (mean.exp() - 1.0) * 100.0,
                shapes: logs.len(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(function: &str, backward: bool, median: f64) -> Row {
        Row { function: function.into(), backward, median, head_dim: 64, shape: "T".into(), ..Row::default() }
    }

    #[test]
    fn sigmoid_is_compared_at_the_same_shape() {
        let rows = [row("softmax", false, 3.0), row("sigmoid", false, 2.0), row("softmax", true, 1.0)];
        let found = verdicts(&rows);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].direction.as_str(), found[0].shapes), ("forward", 1));
        assert!((found[0].percent - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_report_survives_its_file() {
        let adapters = vec![AdapterReport { rows: vec![row("softmax", false, 1.5)], ..AdapterReport::default() }];
        let report = Report { schema: SCHEMA, adapters, ..Report::default() };
        let path = std::env::temp_dir().join(format!("gatefold_report_{}.json", std::process::id()));
        report.write(&path).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
        std::fs::write(&path, "{\"schema\": 99}").unwrap();
        assert!(Report::read(&path).unwrap_err().to_string().contains("schema 1"));
        std::fs::remove_file(path).unwrap();
    }
}
