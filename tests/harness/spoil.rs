//! Cases with one element of one input that is no number.

use gatefold_core::{Dtype, Tensor};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Case, Reference};

/// Inputs that may hold a NaN: floats, but for what a forward pass has saved, which is NaN where its own inputs were and nowhere else.
pub fn inputs<O: Reference>(case: &Case<O>) -> Vec<String> {
    let may_be = |name: &str, t: &Tensor| name != "lse" && t.dtype() != Dtype::U32 && !t.is_empty();
    case.inputs.iter().filter(|(name, t)| may_be(name, t)).map(|(name, _)| name.to_string()).collect()
}

/// The case with a NaN in one element of an input, and which; `None` if the op refuses that input.
pub fn spoiled<O: Reference>(case: &Case<O>, input: &str, rng: &mut Rng) -> Option<(Case<O>, usize)> {
    let tensor = &case.inputs[input];
    let at = rng.below(tensor.len());
    let mut values = tensor.to_f32();
    values[at] = f32::NAN;
    let mut case = case.clone();
    let tensor = Tensor::float(tensor.dtype(), tensor.dims().to_vec(), values).ok()?;
    case.inputs.insert(input, tensor);
    case.op.check_inputs(&case.inputs).ok()?;
    Some((case, at))
}
