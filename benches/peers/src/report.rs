//! The report as JSON. Numbers in base units unless the name says otherwise.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::clock::Raced;

/// Version of the form. A field that is added keeps it; one that changes its meaning or goes raises it.
pub(crate) const SCHEMA: u32 = 1;

/// One run on one adapter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// Version of this package.
    pub(crate) version: String,
    /// `quick` or `whole`.
    pub(crate) mode: String,
    /// Seconds since 1970, UTC.
    pub(crate) unix_time: u64,
    /// Operating system, processor architecture and count of cores.
    pub(crate) host: String,
    /// Adapter, by the driver.
    pub(crate) adapter: String,
    /// Kind in words: `discrete GPU`, `software driver`.
    pub(crate) kind: String,
    /// `vulkan`, `metal`, `dx12`.
    pub(crate) backend: String,
    /// Driver and version.
    pub(crate) driver: String,
    /// How time was taken.
    pub(crate) clock: String,
    /// Who else was timed.
    pub(crate) peers: Vec<Peer>,
    /// One per case.
    pub(crate) rows: Vec<Row>,
}

/// Somebody else's library.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// What it runs on and how it was built, in words.
    pub(crate) how: String,
}

/// One case.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What is computed, and its sizes.
    pub(crate) title: String,
    /// By definition.
    pub(crate) flops: f64,
    /// One per contender, ours first where we have one.
    pub(crate) entries: Vec<Entry>,
}

/// One contender at one case.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Who, and how.
    pub(crate) who: String,
    /// Seconds of the first call in this process.
    pub(crate) first: f64,
    /// Runs in a sample.
    pub(crate) runs: usize,
    /// Seconds per run, in the order taken.
    pub(crate) samples: Vec<f64>,
    /// Median of the samples.
    pub(crate) median: f64,
    /// Fastest sample.
    pub(crate) fastest: f64,
    /// Slowest sample.
    pub(crate) slowest: f64,
    /// FLOPs per second over the median, × 10⁻⁹.
    pub(crate) gflops: f64,
    /// Largest error ÷ Gatefold's bound over six rows, against the f64 reference; above 1 for an output that Gatefold would reject.
    pub(crate) error_ratio: Option<f64>,
    /// Largest difference from Gatefold's output over all elements. PyTorch: from its own f64.
    pub(crate) difference: Option<f64>,
    /// Gatefold's rate ÷ this one's: above 1 where Gatefold is faster.
    pub(crate) gatefold_ratio: Option<f64>,
    /// Why there is no time, or why it does not count.
    pub(crate) failure: Option<String>,
}

/// The middle of a list, or between the two in the middle; 0 of none.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (half, 0) => f64::midpoint(sorted[half - 1], sorted[half]),
        (half, _) => sorted[half],
    }
}

impl Entry {
    /// Medians and rates of what was timed.
    pub(crate) fn of(raced: &Raced, flops: f64) -> Self {
        let median = median(&raced.samples);
        Self {
            who: raced.name.clone(),
            first: raced.first,
            runs: raced.runs,
            samples: raced.samples.clone(),
            median,
            fastest: raced.samples.iter().copied().reduce(f64::min).unwrap_or(0.0),
            slowest: raced.samples.iter().copied().reduce(f64::max).unwrap_or(0.0),
            gflops: if median > 0.0 { flops / median * 1e-9 } else { 0.0 },
            failure: raced.failure.clone(),
            ..Self::default()
        }
    }

    /// Says so if the output is not what Gatefold computes: the largest difference is over `share` of the largest element.
    pub(crate) fn judge(&mut self, ours: &[f32], share: f64) {
        let largest = ours.iter().fold(0.0f64, |m, x| m.max(f64::from(x.abs())));
        let difference = self.difference.unwrap_or(0.0);
        if difference.is_nan() || difference > share * largest {
            let text = format!("another result: off by {difference:.1e} where the largest element is {largest:.1e}");
            self.failure.get_or_insert(text);
        }
    }

    /// Whether its time can be compared.
    pub(crate) fn counts(&self) -> bool {
        self.failure.is_none() && self.median > 0.0
    }
}

impl Row {
    /// Sets every entry's [`Entry::gatefold_ratio`].
    pub(crate) fn compare(&mut self) {
        let Some(ours) = self.entries.first().filter(|e| e.who == "gatefold" && e.counts()) else { return };
        let ours = ours.median;
        for entry in self.entries.iter_mut().skip(1).filter(|e| e.counts()) {
            entry.gatefold_ratio = Some(entry.median / ours);
        }
    }
}

impl Report {
    /// Writes it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the report")?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

/// Largest difference of two outputs; NaN if they have not as many elements, or one is NaN.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::NAN;
    }
    let each = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    each.fold(0.0, |m, d| if d.is_nan() || m.is_nan() { f64::NAN } else { m.max(d) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(who: &str, samples: &[f64]) -> Entry {
        Entry::of(&Raced { name: who.into(), samples: samples.to_vec(), ..Raced::default() }, 1e9)
    }

    #[test]
    fn the_ratio_says_how_much_faster_gatefold_is() {
        let entries = vec![entry("gatefold", &[2.0, 1.0, 9.0]), entry("peer", &[3.0, 5.0])];
        let mut row = Row { entries, ..Row::default() };
        row.compare();
        assert_eq!((row.entries[0].gatefold_ratio, row.entries[1].gatefold_ratio), (None, Some(2.0)));
        assert_eq!((row.entries[0].gflops, row.entries[0].fastest, row.entries[0].slowest), (0.5, 1.0, 9.0));
    }

    #[test]
    fn another_result_does_not_count() {
        let mut wrong = Entry { difference: Some(difference(&[1.0, 2.0], &[1.0, 1.5])), ..entry("peer", &[1.0]) };
        wrong.judge(&[1.0, 2.0], 1e-2);
        assert!(!wrong.counts() && wrong.failure.unwrap().contains("5.0e-1"));
        assert!(difference(&[1.0], &[f32::NAN]).is_nan() && difference(&[1.0], &[]).is_nan());
    }
}
