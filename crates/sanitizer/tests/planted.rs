//! One file per class of fault, each with a twin that is clean: the fault is told by kind, line and invocation, and the twin by silence.

use std::path::Path;

use gatefold_sanitizer::dispatch::Dispatch;
use gatefold_sanitizer::{Finding, FindingKind, Outcome, run};

/// File, kind, invocations that may be told (`local_invocation_index`, workgroup along x), and those on the other side.
type Row = (&'static str, FindingKind, Sites, Option<Sites>);
type Sites = fn(u32, u32) -> bool;

const PLANTED: [Row; 10] = [
    ("race_workgroup", FindingKind::DataRace, |lane, _| lane < 8, Some(|lane, _| lane < 8)),
    ("race_storage", FindingKind::DataRace, |lane, group| lane == 0 && group < 6, Some(|_, group| group < 6)),
    ("out_of_bounds", FindingKind::OutOfBounds, |lane, group| (lane, group) == (3, 1), None),
    ("uninitialised", FindingKind::Uninitialised, |lane, _| lane == 0, None),
    ("uninitialised_storage", FindingKind::Uninitialised, |lane, _| lane == 0, None),
    ("uninitialised_variable", FindingKind::Uninitialised, |lane, _| lane == 0, None),
    (
        "divergent_barrier",
        FindingKind::DivergentBarrier,
        |lane, group| lane < 2 && group == 1,
        Some(|lane, _| lane > 1),
    ),
    ("divergent_subgroup", FindingKind::DivergentSubgroup, |lane, _| lane == 3, Some(|lane, _| lane < 3)),
    ("trips", FindingKind::TooManyTrips, |lane, _| lane == 0, None),
    ("division", FindingKind::DivisionByZero, |lane, _| lane == 2, None),
];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn outcome(name: &str, twin: &str, seed: u64) -> Outcome {
    let mut dispatch = Dispatch::from_json(&read(&format!("{name}.json"))).unwrap();
    dispatch.seed = seed;
    let program = dispatch.program(&read(&format!("{name}{twin}.wgsl"))).unwrap();
    run(&program, dispatch.launch(&program).unwrap(), &dispatch.options()).unwrap()
}

/// The line that is marked.
fn marked(name: &str) -> u32 {
    let text = read(&format!("{name}.wgsl"));
    let line = text.lines().position(|line| line.contains("// FAULT")).unwrap() + 1;
    u32::try_from(line).unwrap()
}

fn check(row: &Row, seed: u64) {
    let &(name, kind, site, other) = row;
    let outcome = outcome(name, "", seed);
    let found: Vec<&Finding> = outcome.findings.iter().filter(|f| f.kind == kind && f.line == marked(name)).collect();
    assert!(!found.is_empty(), "{name}, seed {seed}: expected {kind} at line {}: {:?}", marked(name), outcome.findings);
    for finding in &found {
        assert!(site(finding.site.invocation, finding.site.workgroup[0]), "{name}: {finding}");
        match (&finding.conflict, other) {
            (Some(conflict), Some(other)) => {
                assert!(other(conflict.site.invocation, conflict.site.workgroup[0]), "{name}: {finding}");
                assert_ne!(conflict.site, finding.site, "{name}: {finding}");
            }
            (None, None) => {}
            _ => panic!("{name}: {finding}"),
        }
    }
}

#[test]
fn planted_faults_are_told() {
    for row in &PLANTED {
        // whatever the order of turns
        (1..=5).for_each(|seed| check(row, seed));
    }
    (1..=3).for_each(|seed| check(&("shift", FindingKind::Shift, |lane, _| lane > 31, None), seed));
}

#[test]
fn their_twins_are_silent() {
    for (name, ..) in PLANTED.iter().chain([&("shift", FindingKind::Shift, (|_, _| true) as Sites, None)]) {
        for seed in 1..=5 {
            let found = outcome(name, ".clean", seed).findings;
            assert!(found.is_empty(), "{name}, seed {seed}: {}", found[0]);
        }
    }
}

#[test]
fn every_kind_is_planted() {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted")).unwrap();
    let dispatches = files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "json")).count();
    assert_eq!(dispatches, PLANTED.len() + 1);
}
