//! Target 6: small cases on the adapter against the reference.

use gatefold_core::{Op, Tensors};
use gatefold_cpu_ref::{Reference, bounded_as};
use gatefold_fuzz::draw::Draw;
use gatefold_fuzz::ops::{Visit, visit};
use gatefold_fuzz::{plans, specs, values};
use gatefold_shaders::{Kernels, Plan, PlanError};
use gatefold_tests::compare::{compare, poison_left};
use gatefold_tests::gpu;
use gatefold_tests::profile::Profile;
use gatefold_tests::run_case::POISONS;
use gatefold_wgpu::RunOptions;

/// Outputs within their bounds, whatever limits the plan was made for. With hostile contents of integer buffers, which reach the kernels past every
/// check: nothing beside the outputs is written, and the device goes on.
pub fn differential(bytes: &[u8]) {
    visit(bytes, Differential);
}

struct Differential;

/// Runs a plan with poison and guard zones; the outputs.
fn run<O: Op>(op: &O, plan: &Plan, inputs: &Tensors, poison: u32) -> Tensors {
    let options = RunOptions { poison: Some(poison), guard: true, ..RunOptions::default() };
    let told = || format!("{} {} {}", O::NAME, op.label(), op.size_label());
    let ran = gpu().run_plan(plan, &op.operands(), inputs, &options).unwrap_or_else(|e| panic!("{}: {e}", told()));
    assert!(ran.faults.is_empty(), "{}: {:?}", told(), ran.faults);
    ran.outputs
}

/// Whether a computed number chooses what is done: then only a case whose numbers were drawn apart has one answer.
fn chooses(name: &str) -> bool {
    ["gate", "router", "moe", "choice", "loss"].iter().any(|part| name.contains(part))
}

impl Visit for Differential {
    fn visit<O: Reference + Kernels>(self, mut draw: Draw<'_>) {
        let Some((op, base, is_same)) = specs::small::<O>(&mut draw) else { return };
        let Some(mut inputs) = values::inputs(&mut draw, &op, base) else { return };
        let adapter = gpu().limits();
        let limits = Profile::of(u64::from(draw.byte())).limits(adapter, &op.cost());
        let (plan, limits) = match op.plan(&limits) {
            // squeezed limits may be too small for any tile
            Err(PlanError::TooLarge { .. } | PlanError::Limit { .. }) => (op.plan(adapter), adapter),
            found => (found, &limits),
        };
        let Ok(plan) = plan else { return };
        plans::check(&plan, &op.operands(), limits, true);
        if draw.one_in(3) {
            values::change(&mut draw, &mut inputs, true);
            run(&op, &plan, &inputs, POISONS[1]);
            return;
        }
        if op.check_inputs(&inputs).is_err() || (chooses(O::NAME) && !is_same) {
            return;
        }
        if !is_same {
            // what a forward pass keeps is that of this spec: a kernel may rest on it, as on a share that is no more than 1
            inputs = op.complete(inputs);
        }
        let outputs = run(&op, &plan, &inputs, POISONS[0]);
        let exact = bounded_as(&op, &inputs, plan.rounds_weights);
        let found = compare(&exact, &outputs).unwrap_or_else(|e| panic!("{}: {e}", op.label()));
        assert!(found.ratio <= 1.0, "{} {} {}: {}", O::NAME, op.label(), op.size_label(), found.describe());
        let left: Vec<_> = poison_left(&outputs, POISONS[0]).into_iter().collect();
        assert!(left.is_empty(), "{}: {left:?}", op.label());
    }
}
