//! Matrix units: attention's planned cases in f16 through the schedule that uses them, on an adapter that has them.

use std::collections::BTreeMap;

use gatefold_core::Attention;
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::HALVES;
use gatefold_shaders::{DeviceKind, Kernels, Limits, MatrixUnit};
use gatefold_tests::compare::compare;
use gatefold_tests::conformance::gate;
use gatefold_tests::gpu;
use gatefold_tests::run_case::{CaseReport, Prepared, Status, run_poisoned, run_prepared};
use gatefold_wgpu::MatrixTest;

/// Drawn cases looked at, beside every fifth planned one.
const DRAWN: u64 = 24;

/// What the adapter has is used if it is exact, and only then.
#[test]
fn they_are_used_if_they_pass_their_test() {
    let limits = gpu().limits();
    match &gpu().probe().matrix {
        MatrixTest::Exact(unit) => assert_eq!(limits.matrix, Some(*unit)),
        other => assert_eq!(limits.matrix, None, "{other}"),
    }
}

#[test]
fn cases_in_f16() {
    if gpu().limits().matrix.is_none() {
        println!("not run: {}", gpu().probe().matrix);
        return;
    }
    let mut reports: BTreeMap<String, Vec<CaseReport>> = BTreeMap::new();
    let planned = HALVES + Attention::PLANNED;
    for seed in (HALVES..planned).step_by(5).chain(planned..planned + DRAWN) {
        let report = run_prepared(gpu(), &Prepared::<Attention>::new(seed), gate(gpu()));
        assert_ne!(report.status, Status::Unsupported, "{:?}", report.faults);
        reports.entry(report.group()).or_default().push(report);
    }
    let all = || reports.values().flatten();
    for (group, reports) in &reports {
        let worst = reports.iter().max_by(|a, b| a.ratio.total_cmp(&b.ratio)).expect("no group is empty");
        println!(
            "{group}: {} cases, error/bound {:.4} (seed {}: {})",
            reports.len(),
            worst.ratio,
            worst.seed,
            worst.worst
        );
    }
    let wrong: Vec<_> = all().filter(|r| r.status == Status::Failed).collect();
    let texts: Vec<_> = wrong.iter().map(|r| format!("seed {} {}: {}", r.seed, r.label, r.faults.join("; "))).collect();
    assert!(wrong.is_empty(), "{} of {} failed:\n{}", wrong.len(), all().count(), texts.join("\n"));
}

/// A workgroup of 64, as drivers with large subgroups want it: two invocations hold a row. Here it is several subgroups, which all compute
/// the same.
#[test]
fn rows_in_two_parts() {
    let Some(unit) = gpu().limits().matrix.filter(|unit| unit.lanes < 64) else {
        println!("not run: {}", gpu().probe().matrix);
        return;
    };
    let matrix = Some(MatrixUnit { lanes: 64, ..unit });
    let limits = Limits { kind: DeviceKind::Gpu, subgroup: None, matrix, ..gpu().limits().clone() };
    let mut ran = 0;
    for seed in (HALVES..HALVES + Attention::PLANNED).step_by(17) {
        let prepared = Prepared::<Attention>::new(seed);
        let plan = prepared.case.op.plan(&limits).unwrap();
        if !plan.rounds_weights {
            continue;
        }
        let (outputs, faults) = run_poisoned(gpu(), &prepared.case, &plan).unwrap();
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
        let found = compare(prepared.exact_for(&plan), &outputs).unwrap();
        assert!(found.ratio <= 1.0, "seed {seed}: {}", found.describe());
        ran += 1;
    }
    assert!(ran > 5, "only {ran} cases");
}
