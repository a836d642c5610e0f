//! What a conformance run found, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use gatefold_cpu_ref::case::VARIED;

use crate::conformance::{GATE_CPU, op_names};
use crate::expectations::Expectations;
use crate::run_case::{CaseReport, Status};

/// JSON has no infinity: it is written as `null`.
pub(crate) fn or_infinite<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
}

/// One op × kind of case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Kind of case: `sigmoid f16`.
    pub name: String,
    /// Cases run.
    pub cases: usize,
    /// Largest error ÷ bound.
    #[serde(deserialize_with = "or_infinite")]
    pub worst_ratio: f64,
    /// The case that has it.
    pub worst_seed: u64,
    /// The element that has it, in words.
    pub worst: String,
}

/// One op.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpReport {
    /// Op name.
    pub op: String,
    /// Cases drawn.
    pub cases: usize,
    /// Of these, passed.
    pub passed: usize,
    /// Failed, and not declared to.
    pub failed: usize,
    /// Failed as declared.
    pub expected_failures: usize,
    /// Not run for want of a feature.
    pub unsupported: usize,
    /// Run under the adapter's own limits because squeezed ones were too small.
    pub refused: usize,
    /// Of the cases, those that vary others (contents, sizes).
    #[serde(default)]
    pub varied: usize,
    /// Elements compared.
    pub elements: usize,
    /// Largest error ÷ bound.
    #[serde(deserialize_with = "or_infinite")]
    pub worst_ratio: f64,
    /// The case that has it.
    #[serde(default)]
    pub worst_seed: u64,
    /// 99.9th percentile of the cases' largest error ÷ bound.
    #[serde(deserialize_with = "or_infinite")]
    pub p999_ratio: f64,
    /// Largest normalised mean square error of f32 outputs.
    #[serde(deserialize_with = "or_infinite")]
    pub worst_nmse_f32: f64,
    /// Largest error in units of the last place, of elements that are not small beside their output.
    #[serde(deserialize_with = "or_infinite")]
    pub worst_ulp: f64,
    /// Largest error over that of a plain evaluation in f32 (FlashAttention's tests allow 2 to 3), of one f32 case in eight.
    #[serde(default, deserialize_with = "or_infinite")]
    pub worst_flash: f64,
    /// Cases beyond what is aimed at on software drivers, by [`GOALS`]. Older reports have not counted them.
    #[serde(default)]
    pub beyond_goals: Option<[usize; 3]>,
    /// Seconds on the adapter, and in the reference.
    #[serde(default)]
    pub seconds: [f64; 2],
    /// Cases by profile.
    pub profiles: BTreeMap<String, usize>,
    /// By kind of case.
    pub groups: Vec<Group>,
}

/// A whole run on one adapter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Adapter name, driver and version.
    pub adapter: String,
    /// Name of the stack, if it was asked for by name.
    #[serde(default)]
    pub stack: String,
    /// Version of the crate.
    #[serde(default)]
    pub version: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub unix_time: u64,
    /// Optional features of the device, in words.
    #[serde(default)]
    pub features: Vec<String>,
    /// What the opening probe found.
    pub probe: String,
    /// First seed of each op; the seeds follow one another.
    pub first_seed: u64,
    /// Largest admissible error ÷ bound.
    pub gate: f64,
    /// Seconds.
    pub seconds: f64,
    /// By op.
    pub ops: Vec<OpReport>,
    /// Cases that did not do what was expected, and why.
    pub failures: Vec<(CaseReport, String)>,
    /// Processes that ended without a word about their cases: which, and what they last said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<String>,
}

/// Merges a case into its group.
fn add_to_group(groups: &mut Vec<Group>, case: &CaseReport) {
    let name = case.group();
    let at = groups.iter().position(|g| g.name == name).unwrap_or_else(|| {
        groups.push(Group { name, ..Group::default() });
        groups.len() - 1
    });
    let group = &mut groups[at];
    group.cases += 1;
    if group.worst.is_empty() || case.ratio > group.worst_ratio {
        (group.worst_ratio, group.worst_seed, group.worst) = (case.ratio, case.seed, case.worst.clone());
    }
}

/// Goals: largest error ÷ bound of a case, normalised mean square error of one in f32, and largest error over that of plain f32. They are aimed at;
/// what a case must keep is its adapter's gate.
pub const GOALS: [f64; 3] = [GATE_CPU, 1e-11, 2.0];

impl OpReport {
    /// Sums up the cases of one op. `unexpected` counts the failures that were not declared.
    pub fn new(op: &str, cases: &[CaseReport], unexpected: usize) -> Self {
        let mut sum = Self { op: op.into(), cases: cases.len(), failed: unexpected, ..Self::default() };
        let (mut ratios, mut beyond) = (Vec::new(), [0; 3]);
        for case in cases {
            *sum.profiles.entry(case.profile.clone()).or_default() += 1;
            sum.varied += usize::from(case.seed >= VARIED);
            sum.seconds[0] += case.millis * 1e-3;
            sum.seconds[1] += case.reference_millis * 1e-3;
            match case.status {
                Status::Passed => sum.passed += 1,
                Status::Failed => sum.expected_failures += 1,
                Status::Unsupported => {
                    sum.unsupported += 1;
                    continue;
                }
            }
            sum.refused += usize::from(case.refused);
            sum.elements += case.elements;
            sum.worst_ulp = sum.worst_ulp.max(case.ulp);
            sum.worst_flash = sum.worst_flash.max(case.flash);
            if case.ratio >= sum.worst_ratio {
                (sum.worst_ratio, sum.worst_seed) = (case.ratio, case.seed);
            }
            let nmse = if case.label.ends_with("f32") { case.nmse } else { 0.0 };
            sum.worst_nmse_f32 = sum.worst_nmse_f32.max(nmse);
            for (n, (found, goal)) in [case.ratio, nmse, case.flash].into_iter().zip(GOALS).enumerate() {
                beyond[n] += usize::from(found > goal);
            }
            ratios.push(case.ratio);
            add_to_group(&mut sum.groups, case);
        }
        sum.beyond_goals = Some(beyond);
        sum.expected_failures = sum.expected_failures.saturating_sub(unexpected);
        ratios.sort_by(f64::total_cmp);
        sum.p999_ratio = ratios.get((ratios.len().saturating_sub(1)) * 999 / 1000).copied().unwrap_or(0.0);
        sum.groups.sort_by(|a, b| a.name.cmp(&b.name));
        sum
    }
}

/// What one of several processes ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// A report without ops and failures.
    pub report: Report,
    /// The cases.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// One report of what one or several processes ran on the same adapter. Its time is the sum of theirs.
    pub fn joined(parts: Vec<Part>) -> Self {
        let expectations = Expectations::of_repository();
        let mut all = Self::default();
        let mut by_op: Vec<(String, Vec<CaseReport>)> = Vec::new();
        for Part { report, cases } in parts {
            let seconds = all.seconds + report.seconds;
            all = Self { seconds, ..report };
            for case in cases {
                match by_op.iter_mut().find(|(op, _)| *op == case.op) {
                    Some((_, same)) => same.push(case),
                    None => by_op.push((case.op.clone(), vec![case])),
                }
            }
        }
        let order = op_names();
        by_op.sort_by_key(|(op, _)| order.iter().position(|known| known == op));
        for (op, mut cases) in by_op {
            cases.sort_by_key(|case| case.seed);
            let judged = cases.iter().filter_map(|case| Some((case.clone(), expectations.judge(&all.adapter, case)?)));
            let wrong: Vec<_> = judged.collect();
            let unexpected = wrong.iter().filter(|(case, _)| case.status == Status::Failed).count();
            all.ops.push(OpReport::new(&op, &cases, unexpected));
            all.failures.extend(wrong);
        }
        all
    }

    /// Whether every case did what was expected of it and something was run at all.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.crashes.is_empty() && self.ops.iter().any(|o| o.passed > 0)
    }

    /// Cases of all ops.
    pub fn cases(&self) -> usize {
        self.ops.iter().map(|o| o.cases).sum()
    }

    /// Largest error ÷ bound of all ops.
    pub fn worst_ratio(&self) -> f64 {
        self.ops.iter().map(|o| o.worst_ratio).fold(0.0, f64::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conformance on {}", self.adapter)?;
        for o in &self.ops {
            let profiles: Vec<_> = o.profiles.iter().map(|(name, n)| format!("{n} {name}")).collect();
            writeln!(
                f,
                "{}: {} cases ({}), {} passed, {} failed, {} expected failures, {} not supported; worst error/bound {:.4}, p99.9 {:.4}, \
                 NMSE f32 {:.1e}, {:.0} ULP, {:.2} of plain f32; beyond the goals {:?} in {:?} cases; {:.0} s on the adapter, {:.0} s in the reference",
                o.op,
                o.cases,
                profiles.join(", "),
                o.passed,
                o.failed,
                o.expected_failures,
                o.unsupported,
                o.worst_ratio,
                o.p999_ratio,
                o.worst_nmse_f32,
                o.worst_ulp,
                o.worst_flash,
                GOALS,
                o.beyond_goals.unwrap_or_default(),
                o.seconds[0],
                o.seconds[1],
            )?;
            for g in &o.groups {
                let Group { name, cases, worst_ratio, worst_seed, .. } = g;
                writeln!(f, "  {name:<20} {cases:>5} cases, error/bound {worst_ratio:.4} (seed {worst_seed})")?;
            }
        }
        for (case, why) in &self.failures {
            let CaseReport { op, seed, label, size, profile, .. } = case;
            writeln!(f, "FAILED {op} seed {seed} [{label}, {size}, {profile}]: {why}")?;
            write!(f, "       replay: cargo xtask repro {op} {seed}")?;
            match self.stack.as_str() {
                "" => writeln!(f)?,
                stack => writeln!(f, " --stack {stack}")?,
            }
        }
        for crash in &self.crashes {
            writeln!(f, "CRASHED {crash}")?;
        }
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        let (count, worst, gate) = (self.cases(), self.worst_ratio(), self.gate);
        write!(
            f,
            "{verdict}: {count} cases from seed {}, worst error/bound {worst:.4} (gate {gate}), {:.0} s",
            self.first_seed, self.seconds
        )
    }
}
