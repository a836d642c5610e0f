//! The checker: conformance against the reference, golden vectors, mutants. `tests/*.rs` and `cargo xtask` call it.

pub mod adapters;
pub mod compare;
pub mod conformance;
pub mod expectations;
pub mod mutants;
pub mod profile;
pub mod report;
pub mod run_case;
pub mod vectors;

use std::sync::OnceLock;

use gatefold_wgpu::Gpu;

/// The adapter under test, opened once per process.
///
/// # Panics
/// If there is none: a check that did not run is a failure, not a skip.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::new().unwrap_or_else(|e| panic!("these tests need an adapter: {e}")))
}
