//! Runs the probe's kernels as plans, like any other.

use gatefold_core::{Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::{Dispatch, Param, Plan, Source, Step};

use super::accuracy::{POINTS, errors, points};
use super::draw::SEED;
use super::self_test::{self, SelfTest};
use super::verdict::{of_matrix, status};
use super::{FastPath, MatrixTest, PathStatus, PathVerdict, Probe, Runner};
use super::{attention, half, matrix, matrix_schedules, subgroups, unchecked};
use crate::watch::Clock;
use crate::{RunError, RunOptions};

/// A kernel file of the probe.
macro_rules! source {
    ($file:literal) => {
        gatefold_shaders::Source { path: concat!("probe/", $file), text: include_str!($file) }
    };
}
pub(super) use source;

/// Words of workgroup memory that are dirtied and looked at. Few, as some drivers clear workgroup memory by one store per word and take
/// seconds to compile that for 16 KiB.
const WORDS: u32 = 256;
/// Trips asked for when looking for a cap.
const MANY_TRIPS: u32 = 100_000;
/// Trips when measuring speed: below any cap.
const SOME_TRIPS: u32 = 500;
/// Multiply-adds of one invocation in one trip.
const MUL_ADDS: f64 = 128.0;
/// How long the measurement of speed should run, seconds.
const RATE_SECONDS: f64 = 3e-3;

/// A step of one dispatch, with wgpu's runtime checks.
pub(super) fn step(
    kernel: Source,
    consts: Vec<(&'static str, u32)>,
    groups: u32,
    params: Vec<(&'static str, Param)>,
) -> Step {
    let name = kernel.path.trim_end_matches(".wgsl").replace('/', ".");
    let dispatch = Dispatch { grid: [groups, 1, 1], params, windows: Vec::new() };
    Step { consts, trips: u64::from(MANY_TRIPS), proven: false, ..Step::plain(name, kernel, vec![dispatch]) }
}

/// A plan of one such step.
pub(super) fn plan(
    kernel: Source,
    consts: Vec<(&'static str, u32)>,
    groups: u32,
    params: Vec<(&'static str, Param)>,
) -> Plan {
    Plan { op: "probe", steps: vec![step(kernel, consts, groups, params)], ..Plan::default() }
}

/// Accuracy and special values.
async fn accuracy(on: &impl Runner, probe: &mut Probe) -> Result<(), RunError> {
    let x = points();
    let special = [1e-40, 1.0, 1e8, f32::NAN, f32::from_bits(0x7F80_0001), f32::INFINITY, 0.0];
    let groups = u32::try_from(POINTS / 64).unwrap_or(1);
    let consts = vec![("POINTS", u32::try_from(POINTS).unwrap_or(0))];
    let plan = plan(source!("accuracy.wgsl"), consts, groups, vec![("zero", Param::U32(0))]);
    let operands = [
        Operand::input("x", [6, POINTS], Dtype::F32),
        Operand::input("special", [special.len()], Dtype::F32),
        Operand::output("y", [5, POINTS], Dtype::F32),
        Operand::output("facts", [4], Dtype::U32),
    ];
    let inputs = Tensors::new()
        .with("x", Tensor::f32([6, POINTS], x.clone())?)
        .with("special", Tensor::f32([special.len()], special)?);
    let ran = on.run(&plan, &operands, &inputs, &RunOptions::default()).await?;
    let [exp, exp2, log, divide, inverse_sqrt] = errors(&x, &ran.outputs["y"].to_f32());
    (probe.exp, probe.exp2, probe.log, probe.divide, probe.inverse_sqrt) = (exp, exp2, log, divide, inverse_sqrt);
    let facts = ran.outputs["facts"].as_u32().unwrap_or(&[0; 4]);
    probe.denormals_kept = facts[0] != 0;
    probe.reassociates = f32::from_bits(facts[1]) == 1.0;
    probe.fence_works = f32::from_bits(facts[2]) == 0.0;
    probe.nan_bit_test = facts[3] == 0b11;
    Ok(())
}

/// One run of the rate kernel: the trips its counting loop made, and its seconds.
async fn multiply(on: &impl Runner, groups: u32, counted: u32, trips: u32) -> Result<(u32, f64), RunError> {
    let params = vec![
        ("counted", Param::U32(counted)),
        ("trips", Param::U32(trips)),
        ("one", Param::U32(1)),
        ("scale", Param::F32(0.999)),
        ("offset", Param::F32(0.001)),
    ];
    let plan = plan(source!("rate.wgsl"), vec![("WORDS", WORDS)], groups, params);
    let count = groups as usize;
    let operands = [Operand::output("trips_made", [count], Dtype::U32), Operand::output("sums", [count], Dtype::F32)];
    let options = RunOptions { timing: true, ..RunOptions::default() };
    let ran = on.run(&plan, &operands, &Tensors::new(), &options).await?;
    let made = ran.outputs["trips_made"].as_u32().and_then(|t| t.first()).copied().unwrap_or(0);
    let seconds = ran.step_seconds.map_or(ran.wall_seconds, |s| s.iter().sum());
    Ok((made, seconds.max(1e-6)))
}

/// Loop cap and speed. Leaves workgroup memory dirty.
async fn rate(on: &impl Runner, probe: &mut Probe) -> Result<(), RunError> {
    let (made, _) = multiply(on, 1, MANY_TRIPS, 0).await?;
    probe.loop_cap = (made < MANY_TRIPS).then_some(u64::from(made));
    let mut groups = 8;
    let mut long_enough = 0;
    // Grows until the run is long enough to be measured: at once on a software driver, after three rounds on a large GPU.
    for _ in 0..6 {
        let (_, seconds) = multiply(on, groups, 0, SOME_TRIPS).await?;
        let done = f64::from(groups) * 64.0 * f64::from(SOME_TRIPS) * MUL_ADDS;
        probe.mul_adds_per_second = probe.mul_adds_per_second.max(done / seconds);
        if seconds > RATE_SECONDS / 3.0 {
            // Once more, since another program may have been in the way.
            long_enough += 1;
            if long_enough == 2 {
                break;
            }
            continue;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 64")]
        let factor = (RATE_SECONDS / seconds).clamp(2.0, 64.0) as u32;
        groups = groups.saturating_mul(factor).min(on.limits().groups_per_dim);
    }
    Ok(())
}

/// Words of workgroup memory left over from the kernel before.
async fn stale(on: &impl Runner, probe: &mut Probe) -> Result<(), RunError> {
    let plan = plan(source!("stale.wgsl"), vec![("WORDS", WORDS)], 64, Vec::new());
    let operands = [Operand::output("stale", [64, 64], Dtype::U32)];
    let ran = on.run(&plan, &operands, &Tensors::new(), &RunOptions::default()).await?;
    let counts = ran.outputs["stale"].as_u32().unwrap_or(&[]);
    probe.stale_words = counts.iter().map(|&n| u64::from(n)).sum();
    Ok(())
}

/// Self-tests of the paths that the device has: those that need no matrix units run in one plan.
async fn self_tests(on: &impl Runner, probe: &mut Probe) -> Result<(), RunError> {
    let (limits, checked) = (on.limits(), on.is_checked());
    let mut tests: Vec<SelfTest> = vec![attention::test()?];
    let mut add = |test: Option<SelfTest>| test.map(|t| (tests.push(t), tests.len() - 1).1);
    let of_subgroups = add(limits.subgroup.map(|lanes| subgroups::test(on.limits(), lanes)).transpose()?);
    let of_f16 = add(limits.f16.then(half::test).transpose()?);
    let of_unchecked = add((!checked).then(|| unchecked::test(on.limits())).transpose()?);
    let judged = self_test::run(on, &tests).await?;
    let of = |test: Option<usize>, other: PathStatus| test.map_or(other, |at| status(judged[at].result.clone()));
    probe.attention = judged[0].outputs.as_ref().map_or(f64::INFINITY, attention::ratio);
    probe.f16_rounding = of_f16.and_then(|at| judged[at].outputs.as_ref()).map(half::rounding);
    let f16 = of(of_f16, PathStatus::NotThere);
    if let (Some(unit), true) = (on.matrix_unit(), f16 == PathStatus::Passed) {
        probe.matrix = matrix::test(on, unit).await?;
        if probe.matrix == MatrixTest::Exact(unit)
            && let Err(why) = matrix_schedules::test(on, unit).await?
        {
            probe.matrix = MatrixTest::Failed(why);
        }
    }
    let matrix = match on.matrix_unit() {
        None if !on.wants_matrix() => PathStatus::SwitchedOff,
        None => PathStatus::NotThere,
        Some(_) => of_matrix(&probe.matrix, &f16),
    };
    let verdicts = [
        (FastPath::Subgroups, of(of_subgroups, PathStatus::NotThere)),
        (FastPath::F16, f16),
        (FastPath::Matrix, matrix),
        (FastPath::Unchecked, of(of_unchecked, PathStatus::SwitchedOff)),
    ];
    probe.verdicts = verdicts.into_iter().map(|(path, status)| PathVerdict { path, status, seed: SEED }).collect();
    Ok(())
}

/// Runs every part. The order matters: [`stale`] looks at what [`rate`] left.
pub(super) async fn measure(on: &impl Runner) -> Result<Probe, RunError> {
    let clock = Clock::start();
    let mut probe = Probe { measured: true, ..Probe::default() };
    accuracy(on, &mut probe).await?;
    rate(on, &mut probe).await?;
    stale(on, &mut probe).await?;
    self_tests(on, &mut probe).await?;
    probe.seconds = clock.elapsed().as_secs_f64();
    Ok(probe)
}
