//! What the contents of a gate's inputs must be.

use super::{NanLogits, TEMPERATURES, TopKGate};
use crate::routing::{ELSEWHERE, NO_EXPERT};
use crate::{Data, SpecError, Tensor, Tensors};

fn wrong(operand: &str, index: usize, expected: String, given: String) -> SpecError {
    SpecError::Value { operand: operand.into(), index, expected, given }
}

/// Whether an element of a float tensor is NaN.
fn is_nan(t: &Tensor, at: usize) -> bool {
    match t.data() {
        Data::F32(d) => d[at].is_nan(),
        Data::F16(d) => d[at].is_nan(),
        Data::U32(_) => false,
    }
}

/// NaN logits of tokens that are not padding.
fn check_logits(op: &TopKGate, inputs: &Tensors) -> Result<(), SpecError> {
    let Some(logits) = inputs.get("logits").filter(|_| op.nan == NanLogits::Refuse) else { return Ok(()) };
    let mask = inputs.get("token_mask").and_then(Tensor::as_u32);
    let counts = |at: usize| mask.is_none_or(|m| m.get(at / op.experts).is_some_and(|&word| word != 0));
    let mut found = (0..logits.len()).filter(|&at| is_nan(logits, at) && counts(at));
    match found.next() {
        None => Ok(()),
        Some(first) => Err(SpecError::NonFiniteRouting { operand: "logits", first, count: 1 + found.count() }),
    }
}

/// The inputs that the gate and its gradient share, and the selection bias.
pub(super) fn check_inputs(op: &TopKGate, inputs: &Tensors) -> Result<(), SpecError> {
    for name in ["logit_bias", "selection_bias"] {
        let numbers = inputs.get(name).and_then(Tensor::as_f32).unwrap_or_default();
        if let Some(at) = numbers.iter().position(|x| x.is_nan() || *x == f32::INFINITY) {
            return Err(wrong(name, at, "a finite number or -inf".into(), numbers[at].to_string()));
        }
    }
    let temperature = inputs.get("temperature").and_then(Tensor::as_f32).unwrap_or_default();
    if let Some(t) = temperature.first().filter(|t| !TEMPERATURES.contains(t)) {
        let expected = format!("{:e} to {:e}", TEMPERATURES.start(), TEMPERATURES.end());
        return Err(wrong("temperature", 0, expected, t.to_string()));
    }
    check_logits(op, inputs)
}

/// Indices as the gate leaves them.
pub(super) fn check_indices(op: &TopKGate, inputs: &Tensors) -> Result<(), SpecError> {
    let indices = inputs.get("indices").and_then(Tensor::as_u32).unwrap_or_default();
    let fine = |&i: &u32| i == NO_EXPERT || ((i & !ELSEWHERE) as usize) < op.experts;
    match indices.iter().position(|i| !fine(i)) {
        None => Ok(()),
        Some(at) => {
            let expected = format!("below experts = {}, with or without ELSEWHERE, or NO_EXPERT", op.experts);
            Err(wrong("indices", at, expected, indices[at].to_string()))
        }
    }
}
