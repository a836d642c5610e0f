//! What the adapter can do at most, measured by two kernels of our own.

use anyhow::{Context, Result, anyhow};
use gatefold_wgpu::{
    AdapterKind, Dispatch, Dtype, Gpu, Operand, Param, Plan, Ran, RunOptions, Source, Step, Tensor, Tensors,
};

use super::report::Ceilings;

const FMA: Source = Source { path: "bench/fma.wgsl", text: include_str!("fma.wgsl") };
const COPY: Source = Source { path: "bench/copy.wgsl", text: include_str!("copy.wgsl") };

/// Invocations of a workgroup of the arithmetic kernel, and multiply-adds of one invocation in one round, as its file says.
const FMA_LANES: usize = 64;
const MUL_ADDS: usize = 64;

/// Runs of each ceiling; the best counts.
const RUNS: usize = 5;

/// A step of one dispatch.
fn step(name: &str, kernel: Source, grid: [u32; 3], params: Vec<(&'static str, Param)>, trips: u64) -> Step {
    Step { trips, proven: false, ..Step::plain(name, kernel, vec![Dispatch { grid, params, windows: Vec::new() }]) }
}

/// Seconds of a finished run's steps.
pub(super) fn step_seconds(ran: &Ran) -> f64 {
    ran.step_seconds.as_ref().map_or(ran.wall_seconds, |s| s.iter().sum())
}

fn timed(gpu: &Gpu, step: Step, operands: &[Operand], inputs: &Tensors) -> Result<f64> {
    let plan = Plan { op: "ceiling", steps: vec![step], ..Plan::default() };
    let options = RunOptions { timing: true, ..RunOptions::default() };
    let ran = gpu.run_plan(&plan, operands, inputs, &options).context("measuring a ceiling")?;
    Ok(step_seconds(&ran).max(1e-9))
}

/// Multiply-adds in registers, in GFLOP/s (two a multiply-add).
fn arithmetic(gpu: &Gpu, dtype: Dtype) -> Result<f64> {
    let is_cpu = gpu.info().kind == AdapterKind::Cpu;
    let target = if is_cpu { 0.1 } else { 0.03 };
    let most_rounds = u32::try_from(gpu.limits().loop_trips.min(4096)).context("loop trips")?;
    let (mut groups, mut rounds) = (if is_cpu { 16u32 } else { 1024 }, 512u32.min(most_rounds));
    let mut best = 0.0f64;
    for run in 0..RUNS + 12 {
        let lanes = groups as usize * FMA_LANES;
        let params = vec![("rounds", Param::U32(rounds)), ("factor", Param::F32(0.999)), ("addend", Param::F32(0.001))];
        let mut one = step(&format!("ceiling.fma.{dtype}"), FMA, [groups, 1, 1], params, u64::from(rounds));
        one.aliases = vec![("Real", dtype.name())];
        one.f16 = dtype == Dtype::F16;
        let seconds = timed(gpu, one, &[Operand::output("sums", [lanes], Dtype::F32)], &Tensors::new())?;
        // The first run compiles, and short ones are all overhead: neither can be the best by mistake.
        best = best.max(2.0 * (lanes * MUL_ADDS) as f64 * f64::from(rounds) / seconds * 1e-9);
        if seconds < target / 2.0 && run < 12 {
            if groups < 32_768 {
                groups *= 2;
            } else {
                rounds = (rounds * 2).min(most_rounds);
            }
        } else if run >= RUNS {
            break;
        }
    }
    Ok(best)
}

/// A copy between storage buffers, in GB/s, reads and writes together.
fn copy(gpu: &Gpu) -> Result<f64> {
    let wanted: u64 = if gpu.info().kind == AdapterKind::Cpu { 64 << 20 } else { 256 << 20 };
    let bytes = wanted.min(gpu.limits().binding_bytes).min(gpu.limits().buffer_bytes / 2);
    let count = usize::try_from(bytes / 16).context("size of the copy")?;
    let origin = Tensor::f32([count * 4], vec![1.0f32; count * 4])?;
    let operands =
        [Operand::input("origin", [count * 4], Dtype::F32), Operand::output("copied", [count * 4], Dtype::F32)];
    let groups = u32::try_from(count.div_ceil(256)).map_err(|_| anyhow!("copy: too many workgroups"))?;
    let rows = groups.div_ceil(gpu.limits().groups_per_dim);
    let params = vec![("count", Param::U32(u32::try_from(count).context("size of the copy")?))];
    let inputs = Tensors::new().with("origin", origin);
    let mut best = 0.0f64;
    for _ in 0..RUNS {
        let one = step("ceiling.copy", COPY, [groups.div_ceil(rows), rows, 1], params.clone(), 0);
        let seconds = timed(gpu, one, &operands, &inputs)?;
        best = best.max(2.0 * 16.0 * count as f64 / seconds * 1e-9);
    }
    Ok(best)
}

/// All ceilings of an adapter.
pub(super) fn measure(gpu: &Gpu) -> Result<Ceilings> {
    Ok(Ceilings {
        f32_gflops: arithmetic(gpu, Dtype::F32)?,
        f16_gflops: if gpu.limits().f16 { Some(arithmetic(gpu, Dtype::F16)?) } else { None },
        copy_gbs: copy(gpu)?,
    })
}
