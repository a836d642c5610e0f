//! What a run costs beside its kernels. Prints; fails only if it is far off.

mod fixture;

use fixture::{gpu, scale_inputs, scale_operands, scale_plan};
use gatefold_wgpu::RunOptions;

#[test]
fn a_small_run_costs_little() {
    let gpu = gpu();
    let (plan, operands, inputs) = (scale_plan(), scale_operands(), scale_inputs());
    let guarded = RunOptions { poison: Some(0x7FC0_DEAD), guard: true, ..RunOptions::default() };
    for (name, options) in [("plain", RunOptions::default()), ("guarded", guarded)] {
        let mut seconds: Vec<f64> =
            (0..200).map(|_| gpu.run_plan(&plan, &operands, &inputs, &options).unwrap().wall_seconds).collect();
        seconds.sort_by(f64::total_cmp);
        println!("{name}: median {:.3} ms, 95 % {:.3} ms", seconds[100] * 1e3, seconds[190] * 1e3);
        assert!(seconds[100] < 0.02);
    }
}
