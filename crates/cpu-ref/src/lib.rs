//! What right means: every op's definition as plain loops, its cases and the bound of every element.
//!
//! An op's [`Reference::eval`] is generic over [`Real`]: in f64 it is the truth, in [`Dual`] numbers it checks the hand-written
//! gradients, in [`Err`] numbers it says how far a kernel may be off, element by element ([`bounded`]). Nothing here is tiled or online.
//!
//! ```
//! use gatefold_core::Attention;
//! use gatefold_cpu_ref::{Reference, bounded, outputs};
//!
//! let case = Attention::case(200); // the same on every machine
//! let (truth, plain) = (bounded(&case.op, &case.inputs), outputs(&case.op, &case.inputs));
//! assert_eq!(truth.outputs["o"].values.len(), plain["o"].len());
//! ```

#![forbid(unsafe_code)]

mod attention;
mod attention_backward;
pub mod case;
mod check;
mod compare;
pub mod data;
mod gemm;
pub mod real;
mod reference;
mod routing;
mod rowwise;
pub mod tolerance;

pub use case::Case;
pub use check::{CheckError, Checked, Drawn, check};
pub use compare::{Comparison, compare};
pub use real::{Dd, Dual, Err, Real};
pub use reference::{Reference, Values, outputs};
pub use tolerance::{Bounded, BoundedTensor, bounded, bounded_as};
