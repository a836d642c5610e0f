//! A sanitizer for WGSL compute kernels, as CUDA's compute-sanitizer is one for CUDA.
//!
//! [`Program`] compiles a WGSL text (or a naga module), [`run`] interprets a small dispatch of it with shadow memory and tells what is wrong with
//! it: data races, indices out of bounds, reads of what nobody has written, barriers that not all invocations reach, loops without end. Nothing of it
//! needs a GPU. With [`Options::adversary`] every float operation returns a number that WGSL allows, which need not be the nearest one: a result that
//! is right then is right on every driver that keeps to the specification.
//!
//! ```
//! use gatefold_sanitizer::{Buffer, FindingKind, Launch, Options, Program, run};
//!
//! let program = Program::from_wgsl(
//!     "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
//!      @compute @workgroup_size(8)
//!      fn main(@builtin(global_invocation_id) id: vec3<u32>) { y[id.x + 1u] = id.x; }",
//! )?;
//! let launch = Launch::new([1, 1, 1]).with("y", Buffer::uninitialised(32));
//! let outcome = run(&program, launch, &Options::default())?;
//! assert_eq!(outcome.findings[0].kind, FindingKind::OutOfBounds);
//! assert_eq!((outcome.findings[0].line, outcome.findings[0].site.local), (3, [7, 0, 0]));
//! # Ok::<(), gatefold_sanitizer::Error>(())
//! ```
//!
//! What it does not know: images and samplers, ray queries, cooperative matrices, 64-bit numbers. It says so by name ([`Error::Unsupported`]).

#![forbid(unsafe_code)]

mod adversary;
mod arith;
mod buffer;
mod code;
mod compile;
pub mod dispatch;
mod finding;
mod functions;
mod group;
mod launch;
mod machine;
mod memory;
mod operations;
mod packing;
mod program;
mod shadow;

pub use adversary::{Adversary, Style};
pub use buffer::Buffer;
pub use finding::{Conflict, Finding, FindingKind, Site};
pub use launch::{Launch, Options, Outcome, Undefined, run};
pub use program::{Binding, Element, Error, Program};
