//! What changed from one report to another: adapters and ops that came or went, verdicts, and errors that grew.

use std::fmt;

use anyhow::{Result, bail};
use gatefold_tests::report::{OpReport, Report};

/// An error that grew by more than this factor is for the worse: the same cases on the same driver differ by far less.
const DRIFT: f64 = 1.25;

/// Below this share of the bound no growth matters, nor below this multiple of plain f32's error.
const NOISE: f64 = 0.01;
const FLASH_NOISE: f64 = 1.0;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    place: String,
    what: String,
    worse: bool,
}

impl Change {
    /// Whether somebody should look at it.
    pub(super) fn is_worse(&self) -> bool {
        self.worse
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.worse { "WORSE" } else { "     " };
        write!(f, "{mark} {}: {}", self.place, self.what)
    }
}

/// The changes from `a` to `b`. Reports are matched by adapter and stack; two of one adapter each are compared whatever they are called.
///
/// # Errors
/// If they have no adapter in common.
pub(super) fn between(a: &[Report], b: &[Report]) -> Result<Vec<Change>> {
    if let ([one], [other]) = (a, b) {
        let mut changes = Vec::new();
        if one.adapter != other.adapter {
            let what = format!("was {}, is {}", one.adapter, other.adapter);
            changes.push(Change { place: "adapter".into(), what, worse: false });
        }
        changes.extend(of_adapter(one, other));
        return Ok(changes);
    }
    let mut changes = Vec::new();
    let mut matched = 0;
    let same = |a: &Report, b: &Report| (&a.adapter, &a.stack) == (&b.adapter, &b.stack);
    for old in a {
        match b.iter().find(|new| same(old, new)) {
            Some(new) => {
                matched += 1;
                changes.extend(of_adapter(old, new));
            }
            None => changes.push(Change { place: old.adapter.clone(), what: "not in B".into(), worse: true }),
        }
    }
    if matched == 0 {
        bail!("the reports have no adapter in common");
    }
    let new = b.iter().filter(|new| a.iter().all(|old| !same(old, new)));
    changes.extend(new.map(|n| Change { place: n.adapter.clone(), what: "not in A".into(), worse: false }));
    Ok(changes)
}

/// The changes on one adapter.
fn of_adapter(a: &Report, b: &Report) -> Vec<Change> {
    let change = |what: String| Change { place: b.adapter.clone(), what, worse: false };
    let mut changes = Vec::new();
    for (name, old, new) in [
        ("version", a.version.clone(), b.version.clone()),
        ("features", a.features.join(", "), b.features.join(", ")),
        ("gate", a.gate.to_string(), b.gate.to_string()),
    ] {
        if old != new {
            changes.push(change(format!("{name}: was {old}, is {new}")));
        }
    }
    let findings = |r: &Report| -> Vec<String> {
        // Times differ from run to run.
        let steady = |l: &&str| !l.starts_with("probe:") && !l.starts_with("multiply-adds");
        r.probe.lines().filter(steady).map(str::to_string).collect()
    };
    let (old, new) = (findings(a), findings(b));
    changes.extend(new.iter().filter(|l| !old.contains(l)).map(|l| change(format!("probe: {l}"))));
    if a.crashes.len() != b.crashes.len() {
        let what = format!("crashed processes: were {}, are {}", a.crashes.len(), b.crashes.len());
        changes.push(Change { place: b.adapter.clone(), what, worse: b.crashes.len() > a.crashes.len() });
    }
    for old in &a.ops {
        match b.ops.iter().find(|new| new.op == old.op) {
            Some(new) => of_op(old, new, &mut changes),
            None => changes.push(Change { place: old.op.clone(), what: "not in B".into(), worse: true }),
        }
    }
    let come = b.ops.iter().filter(|new| a.ops.iter().all(|old| old.op != new.op));
    changes.extend(come.map(|o| Change { place: o.op.clone(), what: "not in A".into(), worse: false }));
    changes
}

fn of_op(a: &OpReport, b: &OpReport, changes: &mut Vec<Change>) {
    let mut push = |what: String, worse: bool| changes.push(Change { place: b.op.clone(), what, worse });
    for (name, old, new, more_is_worse) in [
        ("cases", a.cases, b.cases, false),
        ("failed", a.failed, b.failed, true),
        ("expected failures", a.expected_failures, b.expected_failures, true),
        ("not supported", a.unsupported, b.unsupported, true),
    ] {
        if old != new {
            push(format!("{name}: was {old}, is {new}"), more_is_worse && new > old);
        }
    }
    for (name, old, new, noise) in [
        ("worst error/bound", a.worst_ratio, b.worst_ratio, NOISE),
        ("99.9th percentile of error/bound", a.p999_ratio, b.p999_ratio, NOISE),
        ("error over plain f32's", a.worst_flash, b.worst_flash, FLASH_NOISE),
    ] {
        let grown = new > noise && new > DRIFT * old;
        if grown || old > noise && old > DRIFT * new {
            push(format!("{name}: was {old:.4}, is {new:.4}"), grown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(worst_ratio: f64, failed: usize) -> Report {
        let op = OpReport { op: "attention".into(), cases: 9, failed, worst_ratio, ..OpReport::default() };
        Report { adapter: "X".into(), ops: vec![op], ..Report::default() }
    }

    #[test]
    fn the_same_report_has_no_changes() {
        assert_eq!(between(&[report(0.1, 0)], &[report(0.1, 0)]).unwrap(), []);
    }

    #[test]
    fn growth_and_failures_are_for_the_worse() {
        let found = between(&[report(0.1, 0)], &[report(0.2, 1)]).unwrap();
        let text: Vec<_> = found.iter().map(Change::to_string).collect();
        assert!(found.iter().all(Change::is_worse) && found.len() == 2, "{text:?}");
        assert!(text[1].contains("was 0.1000, is 0.2000"), "{text:?}");
        let found = between(&[report(0.2, 1)], &[report(0.1, 0)]).unwrap();
        assert!(found.len() == 2 && !found.iter().any(Change::is_worse));
    }

    #[test]
    fn an_op_that_is_gone_is_for_the_worse() {
        let empty = Report { adapter: "Y".into(), ..Report::default() };
        let found = between(&[report(0.1, 0)], std::slice::from_ref(&empty)).unwrap();
        assert!(found.iter().any(|c| c.is_worse() && c.place == "attention"));
        assert!(between(&[report(0.1, 0), empty.clone()], &[]).is_err());
    }
}
