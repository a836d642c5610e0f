//! Every fault at every place that calls wgpu: a named error, nothing left behind, a device that works on or is cleanly dead, and the
//! same bits from the next good call.

mod fixture;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use fixture::{double, doubled, numbers, scale_expected, scale_inputs, scale_operands, scale_plan, step};
use gatefold_wgpu::{
    Bindings, Cost, Dtype, FaultKind, FaultPlan, Gpu, Kernels, Limits, Op, Operand, Options, Param, PipelineCacheState,
    Plan, PlanError, RunError, RunOptions, ShapeClass, Site, SpecError, Tensor, Tensors, TuneOptions, Verdict, wgpu,
};
use serde::{Deserialize, Serialize};

/// How a call tells of a fault.
#[derive(Debug)]
enum Told {
    /// By its error.
    Error(RunError),
    /// It goes on without what failed, and says why.
    Reason(String),
}

impl From<RunError> for Told {
    fn from(error: RunError) -> Self {
        Self::Error(error)
    }
}

impl Told {
    fn is(&self, kind: FaultKind) -> bool {
        let error = match self {
            Self::Error(error) => error,
            Self::Reason(reason) => {
                let words = match kind {
                    FaultKind::OutOfMemory => "out of memory",
                    FaultKind::Validation => "refused by validation",
                    FaultKind::Internal => "internal error of the driver",
                    FaultKind::Lost => "device lost",
                    FaultKind::TimeOut => "time-out",
                    FaultKind::MapFailed => "could not be mapped",
                };
                return reason.contains(words);
            }
        };
        match kind {
            FaultKind::OutOfMemory => matches!(error, RunError::OutOfMemory { .. }),
            // A compiler's refusal is reported as such, but an injected fault does not come from the compiler.
            FaultKind::Validation => matches!(error, RunError::Validation { .. }),
            FaultKind::Internal => matches!(error, RunError::Internal { .. }),
            FaultKind::Lost => matches!(error, RunError::DeviceLost { .. }),
            FaultKind::TimeOut => matches!(error, RunError::TimeOut { .. }),
            FaultKind::MapFailed => matches!(error, RunError::MapFailed { .. }),
        }
    }
}

/// A call that is to survive faults, with what it gives.
type Call<'a> = &'a dyn Fn(&Gpu) -> Result<Tensors, Told>;

/// Which calls are made to fail.
#[derive(Clone, Copy, PartialEq)]
enum Calls {
    Every,
    /// The first at each place, by every kind.
    First,
    /// The second at each place, by two kinds: for a call that is long, and made of others that are covered.
    Second,
}

/// Faults injected so far, and how it was checked.
struct Injection {
    faults: Arc<FaultPlan>,
    injected: usize,
    /// Leaks looked for: 0 if the driver does not report its allocations.
    counted: usize,
    reopened: usize,
}

/// Allocations of the device and their bytes, when nothing is on its way and nothing is kept.
fn live(gpu: &Gpu) -> Option<(usize, u64)> {
    gpu.trim();
    gpu.queue().submit([]);
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let report = gpu.device().generate_allocator_report()?;
    Some((report.allocations.len(), report.total_allocated_bytes))
}

fn good(gpu: &Gpu) {
    let ran = gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &RunOptions::default()).unwrap();
    assert_eq!(ran.outputs["y"].to_f32(), scale_expected());
}

impl Injection {
    fn new() -> Self {
        Self { faults: Arc::new(FaultPlan::new()), injected: 0, counted: 0, reopened: 0 }
    }

    fn options(&self, mapped: bool) -> Options {
        Options { probe: false, mapped, faults: Some(Arc::clone(&self.faults)), ..Options::default() }
    }

    /// What to inject into a call whose places are these.
    fn planned(sites: &[Site], calls: Calls) -> Vec<(usize, FaultKind)> {
        let before = |n: usize| sites[..n].iter().filter(|&&site| site == sites[n]).count();
        let wanted = |&(n, kind): &(usize, FaultKind)| match calls {
            Calls::Every => true,
            Calls::First => before(n) == 0,
            Calls::Second => before(n) == 1 && (sites[n] as usize + kind as usize).is_multiple_of(3),
        };
        (0..sites.len()).flat_map(|n| FaultKind::ALL.map(|kind| (n, kind))).filter(wanted).collect()
    }

    /// Injects into a call: on a fresh device each time, so that compiling and allocating are among the calls, and on one that has made the
    /// call before.
    fn inject(&mut self, name: &str, mapped: bool, calls: Calls, call: Call<'_>) {
        let options = self.options(mapped);
        for warm in [false, true] {
            let open = || {
                let gpu = Gpu::open(&options).unwrap();
                if warm {
                    call(&gpu).unwrap();
                }
                gpu
            };
            let mut gpu = open();
            self.faults.disarm();
            let want = call(&gpu).unwrap();
            let sites = self.faults.sites();
            let before = live(&gpu);
            let planned = Self::planned(&sites, calls);
            println!("{name}, warm {warm}, mapped {mapped}: {} calls, {} faults", sites.len(), planned.len());
            for (n, kind) in planned {
                self.faults.disarm();
                if !warm || gpu.check().is_err() {
                    gpu = open();
                }
                // The fault before has cost it some of its buffers.
                if warm {
                    call(&gpu).unwrap();
                }
                self.faults.arm(kind, n);
                let place = format!("{name}, call {n}, {:?}, {kind:?}", sites[n]);
                let told = call(&gpu).expect_err(&place);
                assert!(told.is(kind), "{place}: {told:?}");
                drop(told);
                self.faults.disarm();
                gpu = self.after(gpu, kind, before, &place);
                assert_eq!(call(&gpu).unwrap(), want, "{place}");
                good(&gpu);
            }
        }
    }

    /// After a fault nothing is left behind, and the device works, or is dead and says so. Returns the device to go on with.
    fn after(&mut self, gpu: Gpu, kind: FaultKind, before: Option<(usize, u64)>, place: &str) -> Gpu {
        self.injected += 1;
        if kind == FaultKind::Lost {
            assert!(matches!(gpu.check(), Err(RunError::DeviceLost { .. })), "{place}");
            self.reopened += 1;
            return gpu.reopen().unwrap();
        }
        let after = live(&gpu);
        assert_eq!(after, before, "{place}: allocations and bytes");
        self.counted += usize::from(after.is_some());
        gpu
    }

    /// Injects into opening, which a lost device fails too.
    fn inject_open(&mut self, name: &str, options: &Options) {
        let options = Options { faults: Some(Arc::clone(&self.faults)), ..options.clone() };
        let open = || -> Result<Gpu, Told> {
            let gpu = Gpu::open(&options)?;
            match gpu.pipeline_cache() {
                PipelineCacheState::Unavailable { reason } | PipelineCacheState::Ignored { reason }
                    if reason.contains("driver's cache") =>
                {
                    Err(Told::Reason(reason.clone()))
                }
                _ => Ok(gpu),
            }
        };
        self.faults.disarm();
        drop(open().unwrap());
        let sites = self.faults.sites();
        let planned = Self::planned(&sites, Calls::First);
        println!("{name}: {} calls, {} faults", sites.len(), planned.len());
        for (n, kind) in planned {
            self.faults.arm(kind, n);
            let place = format!("{name}, call {n}, {:?}, {kind:?}", sites[n]);
            let told = open().map(|_| ()).expect_err(&place);
            assert!(told.is(kind), "{place}: {told:?}");
            self.injected += 1;
            self.faults.disarm();
            good(&open().unwrap_or_else(|told| panic!("{place}: {told:?}")));
        }
    }
}

fn run(gpu: &Gpu, options: &RunOptions) -> Result<Tensors, Told> {
    let ran = gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), options)?;
    assert!(ran.faults.is_empty(), "{:?}", ran.faults);
    Ok(ran.outputs)
}

/// With inputs large enough to be mapped.
fn run_large(gpu: &Gpu) -> Result<Tensors, Told> {
    let (plan, operands) = double(5_000);
    let ran = gpu.run_plan(&plan, &operands, &numbers(5_000, 1), &RunOptions::default())?;
    assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(5_000, 1));
    Ok(ran.outputs)
}

fn run_in_a_session(gpu: &Gpu) -> Result<Tensors, Told> {
    let session = gpu.session();
    let outputs = run(&session, &RunOptions::default())?;
    session.end()?;
    Ok(outputs)
}

fn encode(gpu: &Gpu) -> Result<Tensors, Told> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 400, usage, mapped_at_creation: false };
    let [x, offset, y] = [(); 3].map(|()| gpu.device().create_buffer(&descriptor));
    let bindings = Bindings::new().bind("x", &x, 0).bind("offset", &offset, 0).bind("y", &y, 0);
    let prepared = gpu.prepare(&scale_plan(), &scale_operands(), &bindings)?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    prepared.encode(&mut encoder)?;
    Ok(Tensors::new())
}

/// An op of the test's own with two tiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tiled;

const TILES: [&str; 2] = ["one", "other"];

impl Op for Tiled {
    const NAME: &'static str = "tiled";
    type Inputs = Tensors;
    type Outputs = Tensors;

    fn operands(&self) -> Vec<Operand> {
        vec![Operand::output("y", [64], Dtype::F32)]
    }

    fn validate(&self) -> Result<(), SpecError> {
        Ok(())
    }

    fn cost(&self) -> Cost {
        Cost { flops: 64.0, bytes: 256.0 }
    }

    fn label(&self) -> String {
        "f32".into()
    }

    fn size_label(&self) -> String {
        "64".into()
    }
}

const ONES: &str = "\
struct Params { one: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) { y[lane] = params.one; }
";

impl Kernels for Tiled {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let tile = limits.choices.get("tiled.f32").unwrap_or(TILES[0]);
        let steps = vec![step(&format!("tiled.{tile}"), ONES, [1, 1, 1], vec![("one", Param::F32(1.0))])];
        Ok(Plan { op: Self::NAME, steps, ..Plan::default() })
    }

    fn classes(&self, _: &Limits) -> Vec<ShapeClass> {
        vec![ShapeClass { name: "tiled.f32".into(), tiles: TILES.map(String::from).to_vec() }]
    }
}

/// A tile that fails is reported and not chosen; a default that fails is an error.
fn tune(gpu: &Gpu) -> Result<Tensors, Told> {
    let options = TuneOptions { again: true, ..TuneOptions::default() };
    let report = gpu.tune(&Tiled, Tensors::new(), &options)?;
    for tried in report.classes.iter().flat_map(|class| &class.tried) {
        if let Verdict::Rejected { reason } = &tried.verdict {
            return Err(Told::Reason(reason.clone()));
        }
    }
    let ones = gpu.run_tensors(&Tiled, &Tensors::new())?;
    assert_eq!(ones["y"], Tensor::f32([64], vec![1.0; 64]).unwrap());
    Ok(ones)
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("gatefold-injection-{}", std::process::id()))
}

/// The count of allocations sees a buffer that is held, and that it has gone.
#[test]
fn a_buffer_that_is_left_behind_would_be_seen() {
    let gpu = Gpu::open(&Options { probe: false, ..Options::default() }).unwrap();
    good(&gpu);
    let Some(before) = live(&gpu) else { return };
    let usage = wgpu::BufferUsages::STORAGE;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 4096, usage, mapped_at_creation: false };
    let held = gpu.device().create_buffer(&descriptor);
    let with = live(&gpu).unwrap();
    assert!(with.0 == before.0 + 1 && with.1 >= before.1 + 4096, "{before:?}, {with:?}");
    drop(held);
    assert_eq!(live(&gpu), Some(before));
}

/// All in one test, which can say at the end what was left out: nothing.
#[test]
fn every_fault_at_every_place_is_named_and_leaves_nothing() {
    let mut injection = Injection::new();
    injection.inject("run", true, Calls::Every, &|gpu| run(gpu, &RunOptions::default()));
    let all = RunOptions { poison: Some(0x7FC0_DEAD), guard: true, timing: true, ..RunOptions::default() };
    injection.inject("run with guards", true, Calls::Every, &|gpu| run(gpu, &all));
    for mapped in [true, false] {
        injection.inject("large run", mapped, Calls::Every, &run_large);
    }
    injection.inject("encode", true, Calls::Every, &encode);
    injection.inject("session", true, Calls::Every, &run_in_a_session);
    injection.inject("tune", true, Calls::Second, &tune);
    let folder = folder();
    let cached = Options { pipeline_cache: Some(folder.clone()), ..injection.options(true) };
    injection.inject_open("open with a cache", &cached);
    let _ = std::fs::remove_dir_all(&folder);
    let Injection { faults, injected, counted, reopened } = injection;
    let done = faults.injected();
    println!("{injected} faults at {} of {} pairs of place and kind", done.len(), Site::ALL.len() * 6);
    println!("allocations compared {counted} times, {reopened} devices reopened");
    let all: BTreeSet<_> = Site::ALL.iter().flat_map(|&site| FaultKind::ALL.map(|kind| (site, kind))).collect();
    let left_out: Vec<_> = all.difference(&done).filter(|(site, _)| is_reachable(*site)).collect();
    assert!(left_out.is_empty(), "never injected: {left_out:?}");
}

/// Whether this machine's driver has what the place is for.
fn is_reachable(site: Site) -> bool {
    let gpu = Gpu::open(&Options { probe: false, pipeline_cache: Some(folder()), ..Options::default() }).unwrap();
    match site {
        Site::Cache => gpu.device().features().contains(wgpu::Features::PIPELINE_CACHE),
        Site::Times => gpu.info().timestamps,
        Site::MapWrite | Site::WriteMapped => gpu.is_mapped(),
        _ => true,
    }
}

/// The probe's own calls: each kind, at the first call of each of its runs' places.
#[test]
fn a_fault_during_the_probe_fails_the_opening() {
    let mut injection = Injection::new();
    injection.inject_open("open with a probe", &Options { probe: true, ..Options::default() });
    let (done, places) = (injection.faults.injected(), injection.faults.sites());
    let places: BTreeSet<_> = places.into_iter().collect();
    println!("{} faults, {} pairs; a probe's places: {places:?}", injection.injected, done.len());
    assert!(done.len() >= 6 * 12, "{}", done.len());
}
