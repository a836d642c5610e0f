//! What definitions that are made of other definitions need: operands handed from one to the next.

use gatefold_core::Dtype;

use crate::{Real, Reference, Values};

/// The least number that f16 holds with all its digits.
const LEAST_F16: f64 = 1.0 / (1u32 << 14) as f64;

/// The outputs of `op`; `given`: float and integer operands by name.
pub(super) fn eval<R: Real, O: Reference>(op: &O, floats: &[(&str, &[R])], ints: &[(&str, &[u32])]) -> Values<R> {
    let floats = floats.iter().map(|&(name, x)| (name.to_string(), x.to_vec())).collect();
    let ints = ints.iter().map(|&(name, x)| (name.to_string(), x.to_vec())).collect();
    op.eval(&Values { floats, ints, ..Values::default() })
}

/// An output of integers as integers.
pub(super) fn words<R: Real>(made: &Values<R>, name: &str) -> Vec<u32> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "words are whole numbers")]
    let word = |x: &R| x.value() as u32;
    made.float(name).iter().map(word).collect()
}

/// Rows as the next stage reads them: a kernel rounds them to their storage type.
pub(super) fn stored<R: Real>(rows: &[R], dtype: Dtype) -> Vec<R> {
    match dtype {
        Dtype::F16 => rows.iter().map(|x| x.through_f16(LEAST_F16)).collect(),
        _ => rows.to_vec(),
    }
}

/// The operands of `op` among `values`, as its inputs.
pub(super) fn inputs_of<R: Real, O: Reference>(op: &O, values: &Values<R>) -> Values<R> {
    let mut all = Values::default();
    for o in op.operands().into_iter().filter(|o| o.role.is_given()) {
        if let Some(x) = values.floats.get(o.name) {
            all.floats.insert(o.name.into(), x.clone());
        }
        if let Some(x) = values.ints.get(o.name) {
            all.ints.insert(o.name.into(), x.clone());
        }
    }
    all
}
