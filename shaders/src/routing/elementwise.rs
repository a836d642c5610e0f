//! Steps between the stages of a composite: a change of storage type, and a sum.

use gatefold_core::Dtype;

use crate::plan::wgsl_type;
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, dispatches};
use crate::{Limits, PlanError, Source, Step};

/// Multiply-adds that an element costs, its loads and its store.
const ELEMENT_WORK: f64 = 8.0;

/// An operand or scratch and how it is stored.
type Stored = (&'static str, Dtype);

/// Refuses what a dispatch cannot bind in full: these kernels know no windows.
fn check(bound: &[Stored], elements: u64, limits: &Limits) -> Result<(), PlanError> {
    let bytes = |dtype: Dtype| elements.saturating_mul(dtype.size() as u64);
    match bound.iter().find(|(_, dtype)| bytes(*dtype) > limits.binding_bytes) {
        None => Ok(()),
        Some(&(name, dtype)) => {
            Err(PlanError::TooLarge { operand: name.into(), need: bytes(dtype), have: limits.binding_bytes })
        }
    }
}

fn step(name: String, kernel: Source, elements: u64, limits: &Limits) -> Step {
    Step {
        consts: vec![("INVOCATIONS", INVOCATIONS)],
        ..Step::plain(name, kernel, dispatches(elements, ELEMENT_WORK, limits, &[]))
    }
}

/// `y = x`, stored otherwise.
///
/// # Errors
/// [`PlanError::TooLarge`] if one of them is larger than a binding.
pub(super) fn cast(x: Stored, y: Stored, elements: u64, limits: &Limits) -> Result<Step, PlanError> {
    check(&[x, y], elements, limits)?;
    let name = format!("routing_cast.{}.{}", x.1, y.1);
    Ok(Step {
        aliases: vec![("Given", wgsl_type(x.1)), ("Elem", wgsl_type(y.1))],
        f16: [x.1, y.1].contains(&Dtype::F16),
        binds: vec![("x", x.0), ("y", y.0)],
        ..step(name, wgsl!("routing/cast.wgsl"), elements, limits)
    })
}

/// `y = a + b`; the summands are stored alike.
///
/// # Errors
/// As those of [`cast`].
pub(super) fn add([a, b]: [Stored; 2], y: Stored, elements: u64, limits: &Limits) -> Result<Step, PlanError> {
    check(&[a, b, y], elements, limits)?;
    let name = format!("routing_add.{}.{}", a.1, y.1);
    Ok(Step {
        aliases: vec![("Given", wgsl_type(a.1)), ("Elem", wgsl_type(y.1))],
        f16: [a.1, y.1].contains(&Dtype::F16),
        binds: vec![("a", a.0), ("b", b.0), ("y", y.0)],
        ..step(name, wgsl!("routing/add.wgsl"), elements, limits)
    })
}
