//! A first look at every op on the adapter: the thousands of cases are `cargo xtask conformance`, which `cargo xtask test` runs. Here proven
//! kernels keep naga's runtime checks, there they run without: either must give what the reference says.

use gatefold_core::{Attention, AttentionBackward, Gemm, Rowwise, RowwiseBackward};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;
use gatefold_tests::conformance::{Moment, Options, conformance, gate, op_names, repro, run_op, some_planned};
use gatefold_tests::gpu;
use gatefold_tests::run_case::Status;
use gatefold_wgpu::Gpu;

/// Cases of an op that are looked at: planned ones, and drawn ones.
const LOOKED_AT: [u64; 2] = [24, 6];

fn look<O: Reference + Kernels>() {
    let checked = Gpu::open(&gatefold_wgpu::Options { checked: true, ..Default::default() }).unwrap();
    let (mut wrong, mut passed) = (Vec::new(), 0);
    let [planned, drawn] = LOOKED_AT;
    let seeds = some_planned::<O>(planned).chain(O::PLANNED..O::PLANNED + drawn);
    for report in run_op::<O>(&checked, seeds, gate(&checked), &mut |_| ()) {
        match report.status {
            Status::Passed => passed += 1,
            Status::Failed => wrong.push(format!("{} seed {}: {}", O::NAME, report.seed, report.faults.join("; "))),
            Status::Unsupported => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {} failed:\n{}", wrong.len(), wrong.len() + passed, wrong.join("\n"));
    assert!(passed > 20, "only {passed} cases ran");
}

#[test]
fn attention() {
    look::<Attention>();
}

#[test]
fn attention_backward() {
    look::<AttentionBackward>();
}

#[test]
fn rowwise() {
    look::<Rowwise>();
}

#[test]
fn rowwise_backward() {
    look::<RowwiseBackward>();
}

#[test]
fn gemm() {
    look::<Gemm>();
}

#[test]
fn a_run_is_reported() {
    let options = Options { cases: Some(16), first_seed: 1_000, ..Options::default() };
    let mut seen = 0;
    let report = conformance(gpu(), &options, &mut |moment| seen += usize::from(matches!(moment, Moment::Done(_))));
    assert!(report.passed(), "{report}");
    assert_eq!((report.cases(), report.ops.len()), (seen, op_names().len()));
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains("worst_ratio") && report.to_string().contains("seed"));
}

#[test]
fn a_case_is_replayed() {
    let (text, passed) = repro(gpu(), "attention", 3).unwrap();
    assert!(passed && text.contains("spec: {"), "{text}");
    assert!(repro(gpu(), "convolution", 3).unwrap_err().contains("rowwise_backward"));
}
