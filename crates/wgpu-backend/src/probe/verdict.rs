//! Verdicts: which fast paths an adapter may take, and why.

use std::fmt;

use gatefold_shaders::Plan;
use serde::{Deserialize, Serialize};

use super::{MatrixTest, Probe};

/// A way to run that is faster than the plain one and rests on something that an adapter may get wrong. Each is taken only after a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FastPath {
    /// Shuffles and reductions in a subgroup.
    Subgroups,
    /// Storage in f16.
    F16,
    /// Matrix units.
    Matrix,
    /// Proven kernels without naga's runtime checks.
    Unchecked,
    /// A tile that a tuner chose in place of the table's.
    Tile {
        /// Shape class: key in [`Choices`](crate::Choices).
        class: String,
        /// The tile.
        tile: String,
    },
}

impl fmt::Display for FastPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subgroups => f.write_str("subgroups"),
            Self::F16 => f.write_str("f16"),
            Self::Matrix => f.write_str("matrix units"),
            Self::Unchecked => f.write_str("unchecked kernels"),
            Self::Tile { class, tile } => write!(f, "tile {tile} for {class}"),
        }
    }
}

/// What came of a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathStatus {
    /// Every result was right: the path may be taken.
    Passed,
    /// It is never taken.
    Failed {
        /// The first thing that was wrong, in words.
        why: String,
    },
    /// The adapter lacks it, or the device was opened without it.
    NotThere,
    /// The [`Options`](crate::Options) ask for no such path, or for no probe.
    SwitchedOff,
}

/// The verdict on one fast path of an adapter. Printable: `subgroups: passed its self-test (seed 0x6a7ef01d)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathVerdict {
    /// The path.
    pub path: FastPath,
    /// What came of its test.
    pub status: PathStatus,
    /// Seed of the test's inputs.
    pub seed: u64,
}

impl PathVerdict {
    /// Whether the path may be taken.
    pub fn passed(&self) -> bool {
        self.status == PathStatus::Passed
    }
}

impl fmt::Display for PathVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, status, seed } = self;
        match status {
            PathStatus::Passed => write!(f, "{path}: passed its self-test (seed {seed:#x})"),
            PathStatus::Failed { why } => write!(f, "{path}: FAILED its self-test (seed {seed:#x}): {why}; not used"),
            PathStatus::NotThere => write!(f, "{path}: not there"),
            PathStatus::SwitchedOff => write!(f, "{path}: switched off"),
        }
    }
}

/// What a test says of a path that the adapter has.
pub(crate) fn status(result: Result<(), String>) -> PathStatus {
    result.map_or_else(|why| PathStatus::Failed { why }, |()| PathStatus::Passed)
}

/// The verdict on matrix units. They multiply f16.
pub(super) fn of_matrix(test: &MatrixTest, f16: &PathStatus) -> PathStatus {
    match (test, f16) {
        (_, PathStatus::Failed { .. }) => PathStatus::Failed { why: "f16, which they multiply, failed".into() },
        (MatrixTest::None, _) => PathStatus::NotThere,
        (MatrixTest::Failed(why), _) => PathStatus::Failed { why: why.clone() },
        (MatrixTest::Exact(_), _) => PathStatus::Passed,
    }
}

impl Probe {
    /// Whether a path may be taken. One without a verdict may not.
    pub fn passed(&self, path: &FastPath) -> bool {
        self.verdicts.iter().any(|v| v.path == *path && v.passed())
    }

    /// Why a plan does or does not take each path of this adapter, a line each.
    pub(crate) fn reasons(&self, plan: &Plan) -> Vec<String> {
        let steps = plan.steps.len();
        let taken = |path: &FastPath| match path {
            FastPath::Subgroups => plan.steps.iter().filter(|s| s.subgroups).count(),
            FastPath::F16 => plan.steps.iter().filter(|s| s.f16).count(),
            FastPath::Matrix => plan.steps.iter().filter(|s| s.matrix).count(),
            FastPath::Unchecked => plan.steps.iter().filter(|s| s.proven).count(),
            FastPath::Tile { .. } => 0,
        };
        let line = |v: &PathVerdict| match taken(&v.path) {
            _ if !v.passed() => v.to_string(),
            0 => format!("{v}; no step of this plan takes it"),
            n => format!("{v}; taken by {n} of {steps} steps"),
        };
        self.verdicts.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatefold_shaders::MatrixUnit;

    #[test]
    fn wrong_sums_and_wrong_f16_both_forbid_matrix_units() {
        let exact = MatrixTest::Exact(MatrixUnit { edge: 16, lanes: 32 });
        let failed = PathStatus::Failed { why: "word 3".into() };
        assert_eq!(of_matrix(&exact, &PathStatus::Passed), PathStatus::Passed);
        assert!(matches!(of_matrix(&exact, &failed), PathStatus::Failed { .. }));
        assert!(
            matches!(of_matrix(&MatrixTest::Failed("5 sums".into()), &PathStatus::Passed), PathStatus::Failed { why } if why == "5 sums")
        );
        assert!(matches!(of_matrix(&MatrixTest::None, &failed), PathStatus::Failed { .. }));
        assert_eq!(of_matrix(&MatrixTest::None, &PathStatus::Passed), PathStatus::NotThere);
    }

    #[test]
    fn a_path_without_a_verdict_may_not_be_taken() {
        let verdict = |status| PathVerdict { path: FastPath::F16, status, seed: 1 };
        let of = |status| Probe { verdicts: vec![verdict(status)], ..Probe::default() };
        assert!(of(PathStatus::Passed).passed(&FastPath::F16));
        assert!(
            !of(PathStatus::Passed).passed(&FastPath::Subgroups) && !of(PathStatus::NotThere).passed(&FastPath::F16)
        );
        let failed = of(PathStatus::Failed { why: "word 17 is 3, not 4".into() });
        assert_eq!(
            failed.reasons(&Plan::default()),
            ["f16: FAILED its self-test (seed 0x1): word 17 is 3, not 4; not used"]
        );
    }
}
