//! The time of a dispatch: work is cut to the soft limit, and refused where the smallest piece is beyond the hard one.

use gatefold_core::attention::Dims;
use gatefold_core::{Attention, Gemm, GroupedGemm, RowFunction, Rowwise};
use gatefold_shaders::{Kernels, Limits, PlanError};

fn limits(mul_adds_per_second: f64) -> Limits {
    Limits { mul_adds_per_second, ..Limits::webgpu_default() }
}

fn dispatches<O: Kernels>(op: &O, limits: &Limits) -> usize {
    op.plan(limits).unwrap().steps.iter().map(|s| s.dispatches.len()).sum()
}

/// Plans at a usual speed, more dispatches at a low one, and none at one where no piece of work is short enough.
fn cut_then_refused<O: Kernels>(op: &O) {
    let (usual, low) = (dispatches(op, &limits(1e9)), dispatches(op, &limits(2e7)));
    println!("{}: {usual} dispatches at 1e9 multiply-adds per second, {low} at 2e7", O::NAME);
    assert!(low > usual, "{}: {usual}, {low}", O::NAME);
    match op.plan(&limits(1e3)) {
        Err(PlanError::TooLong { kernel, seconds, have }) => {
            assert!(seconds > have && have == 0.5 && !kernel.is_empty(), "{kernel}: {seconds} s of {have} s");
        }
        other => panic!("{}: expected TooLong, got {:?}", O::NAME, other.map(|plan| plan.steps.len())),
    }
}

#[test]
fn work_is_cut_and_what_cannot_be_cut_is_refused() {
    cut_then_refused(&Attention::sigmoid(Dims::new(1, 2, 512, 64)));
    cut_then_refused(&Attention::softmax(Dims::new(1, 2, 512, 64)));
    cut_then_refused(&Rowwise::new(RowFunction::Softmax, 512, 4096));
    cut_then_refused(&Gemm::new(256, 256, 256));
    cut_then_refused(&GroupedGemm::new(4, 512, 256, 256));
    cut_then_refused(&GroupedGemm::new(4, 512, 256, 256).gradient_w());
}

/// The hard limit is a number of its own: one that allows more plans what was refused.
#[test]
fn the_hard_limit_can_be_raised() {
    let op = Rowwise::new(RowFunction::Softmax, 2, 1 << 20);
    let slow = limits(1e6);
    let error = op.plan(&slow).unwrap_err();
    assert!(matches!(error, PlanError::TooLong { .. }), "{error}");
    assert!(error.to_string().contains("8.39 s") && error.to_string().contains("0.5 s"), "{error}");
    assert!(dispatches(&op, &Limits { hard_dispatch_seconds: 10.0, ..slow }) >= 2);
}
