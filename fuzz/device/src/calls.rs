//! Target 7: sequences of calls against a model.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatefold_core::attention::Dims;
use gatefold_core::{Attention, Op, RowFunction, Rowwise, Tensor, Tensors};
use gatefold_cpu_ref::Reference;
use gatefold_fuzz::draw::Draw;
use gatefold_shaders::Kernels;
use gatefold_tests::buffers::{buffer, read};
use gatefold_wgpu::{Bindings, FaultKind, FaultPlan, Gpu, Options, Prepared, RunError, RunOptions, wgpu};

/// Devices are opened, run, lost, dropped and opened again, calls are cancelled, too late, refused or made to fail: each ends as the model says, and a
/// good call on a device that lives gives the same bits, always.
pub fn calls(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let mut world = World::new();
    for _ in 0..24 {
        if draw.is_empty() {
            break;
        }
        world.step(&mut draw);
    }
    world.finish();
}

/// The two ops that are called: one with a single kernel, one with more and scratch.
fn rowwise() -> Rowwise {
    Rowwise::new(RowFunction::Softmax, 3, 17)
}

fn attention() -> Attention {
    Attention { lse: true, ..Attention::softmax(Dims::new(1, 2, 9, 8)) }
}

/// Floats for the inputs of an op: the same each time.
fn inputs<O: Op>(op: &O) -> Tensors {
    let mut all = Tensors::new();
    for o in op.operands().iter().filter(|o| o.role.is_given()) {
        let numbers: Vec<f32> = (0..o.len()).map(|n| (n % 13) as f32 / 8.0 - 0.75).collect();
        let made = Tensor::float(o.dtype, o.dims.clone(), numbers);
        all.insert(o.name, made.unwrap_or_else(|e| panic!("{}: {e}", o.name)));
    }
    all
}

/// The device under test, and the model of it.
struct World {
    gpu: Gpu,
    faults: Arc<FaultPlan>,
    /// Whether the device is lost.
    lost: bool,
    /// Something prepared, with its output, and whether its device is lost.
    prepared: Option<(Prepared, wgpu::Buffer, bool)>,
}

impl World {
    fn new() -> Self {
        let faults = Arc::new(FaultPlan::new());
        Self { gpu: open(&faults), faults, lost: false, prepared: None }
    }

    fn step(&mut self, draw: &mut Draw<'_>) {
        match draw.byte() % 14 {
            0 | 1 => self.good(&rowwise()),
            2 => self.good(&attention()),
            3 => self.bad_input(),
            4 => self.too_late(),
            5 => self.cancelled(),
            6 => self.lose(),
            7 => self.reopen(),
            8 => self.renew(),
            9 => {
                let (kind, n) = (draw.pick(&FaultKind::ALL), usize::from(draw.byte() % 40));
                if draw.one_in(2) { self.fault(&rowwise(), kind, n) } else { self.fault(&attention(), kind, n) }
            }
            10 => self.prepare(),
            11 => self.encode(),
            12 => self.beside(),
            _ => {
                self.gpu.trim();
                assert_eq!(self.gpu.kept_bytes(), 0);
                drop(self.gpu.plan(&attention()));
            }
        }
    }

    /// What a call gives that is right as far as the caller goes.
    fn good<O: Reference + Kernels>(&self, op: &O) {
        match self.gpu.run_tensors(op, &inputs(op)) {
            Ok(outputs) => {
                assert!(!self.lost, "outputs of a lost device");
                assert!(outputs == *golden(op), "{}: other bits", O::NAME);
            }
            Err(e) => assert!(self.lost && is_lost(&e), "{e:?}"),
        }
        assert_eq!(self.gpu.check().is_err(), self.lost);
    }

    /// The caller's mistake is the caller's mistake, device or no device.
    fn bad_input(&self) {
        let given = Tensors::new().with_some("x", Tensor::f32([1, 17], vec![0.0; 17]).ok());
        let error = self.gpu.run_tensors(&rowwise(), &given).err();
        assert!(matches!(error, Some(RunError::Spec(_))), "{error:?}");
        let none = Rowwise::new(RowFunction::Softmax, 3, 0);
        assert!(self.gpu.plan(&none).is_err() == none.validate().is_err());
    }

    fn ends(&self, options: &RunOptions, is_named: fn(&RunError) -> bool) {
        let op = attention();
        let plan = op.plan(self.gpu.limits()).unwrap_or_else(|e| panic!("{e}"));
        let error = self.gpu.run_plan(&plan, &op.operands(), &inputs(&op), options).err();
        let right = error.as_ref().is_some_and(|e| if self.lost { is_lost(e) } else { is_named(e) });
        assert!(right, "{options:?}, lost: {}: {error:?}", self.lost);
    }

    fn too_late(&self) {
        let options = RunOptions { deadline: Some(Duration::ZERO), ..RunOptions::default() };
        self.ends(&options, |e| matches!(e, RunError::TimeOut { .. }));
    }

    fn cancelled(&self) {
        let options = RunOptions { cancel: Some(Arc::new(AtomicBool::new(true))), ..RunOptions::default() };
        self.ends(&options, |e| matches!(e, RunError::Cancelled { .. }));
    }

    fn lose(&mut self) {
        self.gpu.device().destroy();
        // looked at, it is known, once nothing is in flight: recording, which only looks at what is known, then refuses too
        let told = (0..400).find_map(|n| {
            std::thread::sleep(Duration::from_millis(5 * u64::from(n > 0)));
            self.gpu.check().err()
        });
        assert!(told.as_ref().is_some_and(is_lost), "{told:?}");
        self.mark_lost();
    }

    fn mark_lost(&mut self) {
        self.lost = true;
        if let Some((_, _, lost)) = &mut self.prepared {
            *lost = true;
        }
    }

    fn reopen(&mut self) {
        self.gpu = self.gpu.reopen().unwrap_or_else(|e| panic!("reopening: {e}"));
        // what was prepared is the old device's, which lives on in it if it was not lost
        self.lost = false;
        self.prepared = None;
    }

    /// Drops the device, then opens another.
    fn renew(&mut self) {
        self.prepared = None;
        self.gpu = open(&self.faults);
        self.lost = false;
    }

    /// A fault at the n-th call to the device, if the run makes so many.
    fn fault<O: Reference + Kernels>(&mut self, op: &O, kind: FaultKind, n: usize) {
        self.faults.arm(kind, n);
        let result = self.gpu.run_tensors(op, &inputs(op));
        let happened = self.faults.sites().len() > n;
        self.faults.disarm();
        match result {
            Ok(outputs) => {
                assert!(!self.lost && !happened && outputs == *golden(op), "{kind:?} at call {n}: unnoticed")
            }
            // what fails first is told, also of a device that is lost
            Err(e) if self.lost => assert!(is_lost(&e) || (happened && is_kind(&e, kind)), "{e:?}"),
            Err(e) => {
                assert!(happened && is_kind(&e, kind), "{kind:?} at call {n}: {e:?}");
                if kind == FaultKind::Lost {
                    self.mark_lost();
                }
            }
        }
    }

    fn prepare(&mut self) {
        let op = rowwise();
        let plan = op.plan(self.gpu.limits()).unwrap_or_else(|e| panic!("{e}"));
        if self.lost {
            let error = self.gpu.prepare(&plan, &op.operands(), &Bindings::new()).err();
            assert!(error.as_ref().is_some_and(is_lost), "{error:?}");
            return;
        }
        // nothing is bound: refused by name
        let error = self.gpu.prepare(&plan, &op.operands(), &Bindings::new()).err();
        assert!(matches!(error, Some(RunError::Binding { .. })), "{error:?}");
        let bytes = 4 * 3 * 17;
        let (x, y) = (buffer(&self.gpu, bytes), buffer(&self.gpu, bytes));
        self.gpu.queue().write_buffer(&x, 0, inputs(&op)["x"].bytes());
        let bindings = Bindings::new().bind("x", &x, 0).bind("y", &y, 0);
        let prepared = self.gpu.prepare(&plan, &op.operands(), &bindings).unwrap_or_else(|e| panic!("{e}"));
        self.prepared = Some((prepared, y, false));
    }

    fn encode(&self) {
        let Some((prepared, y, lost)) = &self.prepared else { return };
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let encoded = prepared.encode(&mut encoder);
        if *lost {
            assert!(encoded.as_ref().is_err_and(is_lost), "{encoded:?}");
            return;
        }
        encoded.unwrap_or_else(|e| panic!("{e}"));
        self.gpu.queue().submit([encoder.finish()]);
        assert!(read(&self.gpu, y) == golden(&rowwise())["y"].bytes(), "other bits when recorded");
    }

    /// Two threads at once.
    fn beside(&self) {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.good(&attention()));
            self.good(&rowwise());
            other.join().unwrap_or_else(|_| panic!("the other thread panicked"));
        });
    }

    fn finish(mut self) {
        if self.lost {
            self.reopen();
        }
        self.good(&rowwise());
        self.good(&attention());
    }
}

fn open(faults: &Arc<FaultPlan>) -> Gpu {
    let options = Options { probe: false, faults: Some(Arc::clone(faults)), ..Options::default() };
    Gpu::open(&options).unwrap_or_else(|e| panic!("this target needs an adapter: {e}"))
}

/// What an op gives on a device that nothing has happened to.
fn golden<O: Reference + Kernels>(op: &O) -> &'static Tensors {
    static GOLDEN: [OnceLock<Tensors>; 2] = [const { OnceLock::new() }; 2];
    let which = usize::from(O::NAME == Rowwise::NAME);
    GOLDEN[which].get_or_init(|| {
        let outputs = open(&Arc::default()).run_tensors(op, &inputs(op));
        outputs.unwrap_or_else(|e| panic!("{}: {e}", O::NAME))
    })
}

fn is_lost(error: &RunError) -> bool {
    matches!(error, RunError::DeviceLost { .. })
}

fn is_kind(error: &RunError, kind: FaultKind) -> bool {
    match kind {
        FaultKind::OutOfMemory => matches!(error, RunError::OutOfMemory { .. }),
        FaultKind::Validation => matches!(error, RunError::Validation { .. }),
        FaultKind::Internal => matches!(error, RunError::Internal { .. }),
        FaultKind::Lost => is_lost(error),
        FaultKind::TimeOut => matches!(error, RunError::TimeOut { .. }),
        FaultKind::MapFailed => matches!(error, RunError::MapFailed { .. }),
    }
}
