//! A kernel's outputs against the exact ones.

use gatefold_core::{Dtype, Tensors};
use half::f16;

use crate::{Bounded, BoundedTensor};

/// The worst element of a comparison, and norms for readers who know other suites.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Largest error ÷ bound; at most 1 is right.
    pub ratio: f64,
    /// Output that holds the worst element.
    pub output: String,
    /// Its flat index.
    pub index: usize,
    /// What the kernel gave there.
    pub got: f64,
    /// The exact value.
    pub want: f64,
    /// The bound.
    pub bound: f64,
    /// Largest `Σ(got − want)² / Σ want²` of an output that is not all rounding.
    pub nmse: f64,
    /// Largest error in units of the last place of the storage type, among elements of at least a thousandth of their output's largest
    /// that are not all rounding.
    pub ulp: f64,
    /// Elements compared.
    pub elements: usize,
}

impl Comparison {
    /// The worst element in words.
    pub fn describe(&self) -> String {
        let Self { ratio, output, index, got, want, bound, .. } = self;
        format!("{output}[{index}]: got {got:e}, exact {want:e}, bound {bound:e}, error/bound {ratio:.4}")
    }
}

/// Size of the last place of `x` in storage type `dtype`.
fn last_place(dtype: Dtype, x: f64) -> f64 {
    let (digits, smallest) = match dtype {
        Dtype::F16 => (10, f64::from(f16::MIN_POSITIVE)),
        Dtype::F32 | Dtype::U32 => (23, f64::from(f32::MIN_POSITIVE)),
    };
    let exponent = x.abs().max(smallest).log2().floor();
    (exponent - f64::from(digits)).exp2()
}

/// How many times its bound an element must be for a relative error to say something: less is all rounding.
const ROOM: f64 = 100.0;

fn compare_output(name: &str, exact: &BoundedTensor, got: &[f64], worst: &mut Comparison) {
    let finite = |x: &f64| x.is_finite();
    let largest = exact.values.iter().filter(|x| finite(x)).fold(0.0f64, |m, x| m.max(x.abs()));
    let (mut error_square, mut square, mut bound_square) = (0.0, 0.0, 0.0);
    for (index, (&got, &want)) in got.iter().zip(&exact.values).enumerate() {
        let ratio = exact.ratio(index, got);
        if ratio > worst.ratio || worst.output.is_empty() {
            let bound = exact.bounds[index];
            *worst = Comparison { ratio, output: name.into(), index, got, want, bound, ..worst.clone() };
        }
        if got.is_finite() && want.is_finite() {
            error_square += (got - want).powi(2);
            square += want * want;
            bound_square += exact.bounds[index].powi(2);
            if want.abs() >= (1e-3 * largest).max(ROOM * exact.bounds[index]) && want != 0.0 {
                worst.ulp = worst.ulp.max((got - want).abs() / last_place(exact.dtype, want));
            }
        }
    }
    if square > ROOM * ROOM * bound_square {
        worst.nmse = worst.nmse.max(error_square / square);
    }
    worst.elements += got.len();
}

/// Compares every output, element by element.
///
/// # Errors
/// An output that is missing, or of another shape or type, in words.
pub fn compare(exact: &Bounded, got: &Tensors) -> Result<Comparison, String> {
    let mut worst = Comparison::default();
    for (name, want) in &exact.outputs {
        let Some(tensor) = got.get(name) else {
            return Err(format!("{name}: expected an output, none was given"));
        };
        if tensor.dims() != want.dims || tensor.dtype() != want.dtype {
            let (dims, dtype) = (tensor.dims(), tensor.dtype());
            return Err(format!("{name}: expected {} {:?}, got {dtype} {dims:?}", want.dtype, want.dims));
        }
        compare_output(name, want, &tensor.to_f64(), &mut worst);
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use gatefold_core::Tensor;

    use super::*;

    fn exact(values: Vec<f64>, bounds: Vec<f64>) -> Bounded {
        let tensor = BoundedTensor { dims: vec![values.len()], dtype: Dtype::F32, values, bounds };
        Bounded { outputs: [("y".to_string(), tensor)].into() }
    }

    fn given(values: Vec<f32>) -> Tensors {
        Tensors::new().with("y", Tensor::f32([values.len()], values).unwrap())
    }

    #[test]
    fn finds_the_worst_element() {
        let exact = exact(vec![1.0, 2.0, 3.0], vec![0.5, 0.5, 0.5]);
        let found = compare(&exact, &given(vec![1.0, 2.25, 2.9])).unwrap();
        assert_eq!((found.index, found.ratio, found.output.as_str()), (1, 0.5, "y"));
        assert!(compare(&exact, &given(vec![1.0, f32::NAN, 3.0])).unwrap().ratio.is_infinite());
        assert!(compare(&exact, &given(vec![1.0])).is_err());
        assert!(compare(&exact, &Tensors::new()).is_err());
    }
}
