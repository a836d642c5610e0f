//! Target 5: the reference in f64 against the same in double-double.

use gatefold_core::{Dtype, Tensors};
use gatefold_cpu_ref::{Dd, Real, Reference, Values, bounded};
use gatefold_shaders::Kernels;

use crate::draw::Draw;
use crate::ops::{Visit, visit};
use crate::{specs, values};

/// The f64 that kernels are compared with is itself right to a ten-thousandth of the bound that a kernel has.
pub fn precision(bytes: &[u8]) {
    visit(bytes, Precision);
}

struct Precision;

/// Share of an element's bound that f64 may be off by. An f64 rounding is 2⁻²⁹ of an f32 one; the rest is room for cancellation that bounds
/// do not see, as of a mean.
const SHARE: f64 = 1e-4;

fn compare<O: Reference>(op: &O, inputs: &Tensors) {
    let plain = op.eval(&Values::<f64>::of(inputs));
    let twice = op.eval(&Values::<Dd>::of(inputs));
    let exact = bounded(op, inputs);
    for o in op.operands().iter().filter(|o| o.role.is_made()) {
        let bounds = &exact.outputs[o.name].bounds;
        let all = plain.float(o.name).iter().zip(twice.float(o.name)).zip(bounds);
        for (at, ((&f, d), &bound)) in all.enumerate() {
            let (d, told) = (d.value(), format!("{} of {} {}", o.name, op.label(), op.size_label()));
            if o.dtype == Dtype::U32 {
                assert_eq!(f, d, "{told}[{at}]: a whole number");
            } else if bound.is_finite() && f.is_finite() && d.is_finite() {
                assert!(
                    (f - d).abs() <= SHARE * bound,
                    "{told}[{at}]: f64 {f:e}, double-double {d:e}, bound {bound:e}"
                );
            } else if bound.is_finite() {
                assert!(f == d || (f.is_nan() && d.is_nan()), "{told}[{at}]: f64 {f}, double-double {d}");
            }
        }
    }
}

impl Visit for Precision {
    fn visit<O: Reference + Kernels>(self, mut draw: Draw<'_>) {
        let fresh = draw.one_in(4);
        if fresh {
            // a case that nobody has drawn
            let case = O::case(draw.word());
            if specs::is_small(&case.op) && !case.op.jumps() && case.op.check_reference().is_ok() {
                compare(&case.op, &case.inputs);
            }
            return;
        }
        let Some((op, base, is_same)) = specs::small::<O>(&mut draw) else { return };
        // where a computed number chooses, two numbers that round differently may choose differently; cases are drawn apart
        let chooses = ["gate", "router", "moe", "choice", "loss"].iter().any(|part| O::NAME.contains(part));
        if op.jumps() || (chooses && !is_same) {
            return;
        }
        let Some(inputs) = values::inputs(&mut draw, &op, base) else { return };
        if op.check_inputs(&inputs).is_ok() {
            compare(&op, &inputs);
        }
    }
}
