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
pub mod metamorphic;
pub mod mutants;
pub mod pairs;
pub mod profile;
pub mod repeats;
pub mod report;
pub mod run_case;
pub mod sampled;
pub mod schedules;
pub mod stacks;
pub mod vectors;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use gatefold_wgpu::Gpu;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

thread_local! {
    /// A test's turn on the adapter: from its first call of [`gpu`] to the end of its thread. A software driver uses every core by
    /// itself, so tests side by side would only disturb each other.
    static TURN: MutexGuard<'static, ()> = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
}

/// The adapter under test, opened once per process. Tests in other threads wait until this thread ends.
///
/// # Panics
/// If there is none: a check that did not run is a failure, not a skip.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    TURN.with(|_| ());
    GPU.get_or_init(|| Gpu::new().unwrap_or_else(|e| panic!("these tests need an adapter: {e}")))
}
