//! Matrix units: the planned cases of attention and products in f16 through the schedules that use them, on an adapter that has them.

use std::collections::BTreeMap;

use gatefold_core::{Attention, Gemm};
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::HALVES;
use gatefold_shaders::{DeviceKind, Kernels, Limits, MatrixUnit, Plan};
use gatefold_tests::compare::compare;
use gatefold_tests::conformance::gate;
use gatefold_tests::gpu;
use gatefold_tests::run_case::{CaseReport, Prepared, Status, run_poisoned, run_prepared};
use gatefold_wgpu::MatrixTest;

/// Drawn cases looked at, beside every few planned ones.
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

/// Whether the adapter has matrix units in use; says so if not.
fn has_units() -> bool {
    let has = gpu().limits().matrix.is_some();
    if !has {
        println!("not run: {}", gpu().probe().matrix);
    }
    has
}

/// Every `step`-th planned case in f16 and some drawn ones, each under its profile.
fn look<O: Reference + Kernels>(step: usize) {
    let mut reports: BTreeMap<String, Vec<CaseReport>> = BTreeMap::new();
    let planned = HALVES + O::PLANNED;
    for seed in (HALVES..planned).step_by(step).chain(planned..planned + DRAWN) {
        let report = run_prepared(gpu(), &Prepared::<O>::new(seed), gate(gpu()));
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

/// Every `step`-th planned case whose plan for a GPU of these units uses them: right, and at least `least` of them.
fn look_with<O: Reference + Kernels>(unit: MatrixUnit, step: usize, least: usize) {
    let limits = Limits { kind: DeviceKind::Gpu, subgroup: None, matrix: Some(unit), ..gpu().limits().clone() };
    let uses_units = |plan: &Plan| plan.steps.iter().any(|s| s.matrix);
    let mut ran = 0;
    for seed in (HALVES..HALVES + O::PLANNED).step_by(step) {
        let prepared = Prepared::<O>::new(seed);
        let plan = prepared.case.op.plan(&limits).unwrap();
        if !uses_units(&plan) {
            continue;
        }
        let (outputs, faults) = run_poisoned(gpu(), &prepared.case, &plan).unwrap();
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
        let found = compare(prepared.exact_for(&plan), &outputs).unwrap();
        assert!(found.ratio <= 1.0, "seed {seed}: {}", found.describe());
        ran += 1;
    }
    assert!(ran >= least, "only {ran} cases");
}

#[test]
fn attention_in_f16() {
    if has_units() {
        look::<Attention>(5);
    }
}

#[test]
fn products_in_f16() {
    if has_units() {
        look::<Gemm>(1);
    }
}

/// The adapter's units as a driver with subgroups of up to 64 lists them: a workgroup is 64. Here it is several subgroups, which all compute the
/// same.
fn by_64() -> Option<MatrixUnit> {
    let unit = gpu().limits().matrix.filter(|unit| unit.lanes < 64);
    if unit.is_none() {
        println!("not run: {}", gpu().probe().matrix);
    }
    unit.map(|unit| MatrixUnit { lanes: 64, ..unit })
}

/// Two invocations hold a row of attention's tile.
#[test]
fn attention_in_workgroups_of_64() {
    if let Some(unit) = by_64() {
        look_with::<Attention>(unit, 17, 6);
    }
}

#[test]
fn products_in_workgroups_of_64() {
    if let Some(unit) = by_64() {
        look_with::<Gemm>(unit, 5, 10);
    }
}
