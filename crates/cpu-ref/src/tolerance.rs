//! The exact outputs of a case and how far each element of a kernel's output may be from them.

use std::collections::BTreeMap;

use gatefold_core::{Dtype, Tensors};
use half::f16;

use crate::real::FLUSH;
use crate::{Err, Reference, Values};

/// An output with a bound for every element.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundedTensor {
    /// Shape.
    pub dims: Vec<usize>,
    /// Storage type of the output that is to be compared.
    pub dtype: Dtype,
    /// Exact values. A NaN must be NaN in the kernel's output, an infinity must match exactly.
    pub values: Vec<f64>,
    /// Largest admissible error of each element, before rounding to f16. 0: must match exactly. `∞`: nothing can be said (f32 may
    /// overflow on the way), anything is admitted.
    pub bounds: Vec<f64>,
}

/// Every output of an op.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bounded {
    /// By operand name.
    pub outputs: BTreeMap<String, BoundedTensor>,
}

impl Bounded {
    /// Share of output elements that are numbers well above what may be flushed to zero; 1 if there are no elements. A case says something
    /// about a kernel if nearly all are.
    pub fn informative(&self) -> f64 {
        let elements = || self.outputs.values().flat_map(|t| &t.values);
        let telling = elements().filter(|x| x.is_finite() && x.abs() > 100.0 * FLUSH).count();
        if elements().next().is_none() { 1.0 } else { telling as f64 / elements().count() as f64 }
    }
}

/// Evaluates `op` by its definition with a running error bound. Single-threaded.
///
/// # Panics
/// If [`Reference::check_reference`] refuses the op.
///
/// ```
/// use gatefold_core::{RowFunction, Rowwise, Tensor, Tensors};
///
/// let spec = Rowwise::new(RowFunction::LogSumExp, 1, 2);
/// let x = Tensor::f32([1, 2], vec![0.0, 0.0]).unwrap();
/// let y = gatefold_cpu_ref::bounded(&spec, &Tensors::new().with("x", x)).outputs["y"].clone();
/// assert_eq!(y.values, [2f64.ln()]);
/// assert!(y.ratio(0, f64::from(2f32.ln())) < 1.0 && y.ratio(0, 0.7) > 1.0);
/// ```
pub fn bounded<O: Reference>(op: &O, inputs: &Tensors) -> Bounded {
    bounded_as(op, inputs, false)
}

/// As [`bounded`]; `f16_weights`: for a plan that rounds attention weights to f16 (`Plan::rounds_weights`).
pub fn bounded_as<O: Reference>(op: &O, inputs: &Tensors, f16_weights: bool) -> Bounded {
    let mut found = op.eval(&Values::<Err> { f16_weights, ..Values::of(inputs) });
    let mut all = Bounded::default();
    for operand in op.operands().into_iter().filter(|o| o.role.is_made()) {
        let elements = found.floats.remove(operand.name).unwrap_or_default();
        let (values, bounds) = elements.into_iter().map(|x| (x.v, finish(x))).unzip();
        let (dims, dtype) = (operand.dims, operand.dtype);
        all.outputs.insert(operand.name.into(), BoundedTensor { dims, dtype, values, bounds });
    }
    all
}

/// The bound of an output element: it may be flushed when it is stored.
fn finish(x: Err) -> f64 {
    match x {
        // An infinity that f64 reached by overflow, not by the definition.
        _ if x.v.is_infinite() && x.e.is_nan() => f64::INFINITY,
        _ if !x.v.is_finite() => 0.0,
        _ if x.v == 0.0 && x.e == 0.0 => 0.0,
        _ if x.v.abs() + x.e <= f64::from(f32::MAX) => x.e + FLUSH,
        _ => f64::INFINITY,
    }
}

impl BoundedTensor {
    /// Error ÷ bound of element `index` when a kernel gave `got`: at most 1 is right. For f16 outputs the error is the distance to the
    /// numbers that may round to `got`, in either direction. `∞` where `got` is NaN or infinite and must not be, or is not and must, or
    /// where the bound is 0 and they differ.
    ///
    /// # Panics
    /// If there is no element `index`.
    pub fn ratio(&self, index: usize, got: f64) -> f64 {
        let (value, bound) = (self.values[index], self.bounds[index]);
        if bound == f64::INFINITY {
            return 0.0;
        }
        if value.is_nan() || value.is_infinite() {
            let same = got == value || (got.is_nan() && value.is_nan());
            return if same { 0.0 } else { f64::INFINITY };
        }
        if got.is_nan() {
            return f64::INFINITY;
        }
        let (low, high) = if self.dtype == Dtype::F16 { f16_interval(got) } else { (got, got) };
        let error = if value < low { low - value } else { (value - high).max(0.0) };
        if error == 0.0 { 0.0 } else { error / bound }
    }
}

/// The reals that may be stored as the f16 number `got`: those between its neighbours. Numbers below 2⁻¹⁴ may become 0, and numbers of
/// more than 65,504 an infinity or 65,504.
fn f16_interval(got: f64) -> (f64, f64) {
    let smallest_normal = f64::from(f16::MIN_POSITIVE);
    let stored = f16::from_f64(got);
    if got == 0.0 {
        return (-smallest_normal, smallest_normal);
    }
    if f64::from(stored) != got {
        return (got, got);
    }
    let bits = stored.to_bits() & 0x7fff;
    let neighbour = |bits: u16| f64::from(f16::from_bits(bits));
    let (low, high) = match bits {
        0x7c00 => (neighbour(0x7bff), f64::INFINITY),
        0x7bff => (neighbour(0x7bfe), f64::INFINITY),
        _ => (neighbour(bits - 1), neighbour(bits + 1)),
    };
    if got < 0.0 { (-high, -low) } else { (low, high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(dtype: Dtype, value: f64, bound: f64) -> BoundedTensor {
        BoundedTensor { dims: vec![1], dtype, values: vec![value], bounds: vec![bound] }
    }

    #[test]
    fn special_values_must_match() {
        let nan = one(Dtype::F32, f64::NAN, 0.0);
        assert_eq!((nan.ratio(0, f64::NAN), nan.ratio(0, 0.0)), (0.0, f64::INFINITY));
        let low = one(Dtype::F32, f64::NEG_INFINITY, 0.0);
        assert_eq!((low.ratio(0, f64::NEG_INFINITY), low.ratio(0, -1e38)), (0.0, f64::INFINITY));
        let zero = one(Dtype::F32, 0.0, 0.0);
        assert_eq!((zero.ratio(0, -0.0), zero.ratio(0, 1e-45)), (0.0, f64::INFINITY));
        assert_eq!(one(Dtype::F32, 1.0, 0.5).ratio(0, f64::NAN), f64::INFINITY);
        assert_eq!(one(Dtype::F32, 1.0, 0.5).ratio(0, 1.25), 0.5);
    }

    #[test]
    fn f16_rounds_in_either_direction() {
        let third = one(Dtype::F16, 1.0 / 3.0, 1e-9);
        let nearest = f16::from_f64(1.0 / 3.0);
        assert_eq!(third.ratio(0, f64::from(nearest)), 0.0);
        let (below, above) = (f16::from_bits(nearest.to_bits() - 1), f16::from_bits(nearest.to_bits() + 1));
        let other = if f64::from(nearest) < 1.0 / 3.0 { above } else { below };
        let wrong = if f64::from(nearest) < 1.0 / 3.0 { below } else { above };
        assert_eq!(third.ratio(0, f64::from(other)), 0.0);
        assert!(third.ratio(0, f64::from(wrong)) > 1.0);
        assert_eq!(one(Dtype::F16, 70_000.0, 1.0).ratio(0, f64::INFINITY), 0.0);
        assert_eq!(one(Dtype::F16, 1e-6, 1e-9).ratio(0, 0.0), 0.0);
        assert!(one(Dtype::F16, 1e-3, 1e-9).ratio(0, 0.0) > 1.0);
    }
}
