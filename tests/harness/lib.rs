//! The checker: conformance against the reference, golden vectors, mutants. `tests/*.rs` and `cargo xtask` call it.

#![forbid(unsafe_code)]

pub mod adapters;
pub mod bad_calls;
pub mod buffers;
pub mod compare;
pub mod conformance;
pub mod dawn;
pub mod exact;
pub mod executor;
pub mod expectations;
pub mod interpreter;
pub mod metamorphic;
pub mod mutants;
pub mod pairs;
pub mod profile;
pub mod repeats;
pub mod report;
pub mod run_case;
pub mod sampled;
pub mod schedules;
pub mod spoil;
pub mod stacks;
pub mod vectors;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use gatefold_wgpu::Gpu;

/// Devices of this process on the adapter under test: as many as there are cores, since a software driver compiles on one core a device, and
/// compiling is most of what tests wait for.
#[derive(Default)]
struct Devices {
    free: Vec<&'static Gpu>,
    opened: usize,
}

static DEVICES: Mutex<Devices> = Mutex::new(Devices { free: Vec::new(), opened: 0 });
static RETURNED: Condvar = Condvar::new();

fn devices() -> MutexGuard<'static, Devices> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device that one thread has for itself, from its first call of [`gpu`] to its end.
struct Turn(&'static Gpu);

impl Turn {
    fn wait() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut devices = devices();
        loop {
            if let Some(gpu) = devices.free.pop() {
                return Self(gpu);
            }
            if devices.opened < cores {
                // in the lock: if there is no adapter, nobody waits for this device
                let gpu = Gpu::new().unwrap_or_else(|e| panic!("these tests need an adapter: {e}"));
                devices.opened += 1;
                return Self(Box::leak(Box::new(gpu)));
            }
            devices = RETURNED.wait(devices).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        devices().free.push(self.0);
        RETURNED.notify_one();
    }
}

thread_local! {
    static TURN: Turn = Turn::wait();
}

/// A device on the adapter under test, this thread's own until the thread ends. Tests in other threads wait if there are more of them than cores.
///
/// # Panics
/// If there is no adapter: a check that did not run is a failure, not a skip.
pub fn gpu() -> &'static Gpu {
    TURN.with(|turn| turn.0)
}
