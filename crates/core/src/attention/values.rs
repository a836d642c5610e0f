//! What the contents of small inputs must be: lengths within their operands, biases finite but for the `−∞` that masks.

use super::{Attention, Sequences};
use crate::{Data, SpecError, Tensor, Tensors};

/// Additive inputs, and whether a `−∞` in them masks.
const BIASES: [(&str, bool); 6] = [
    ("head_bias", false),
    ("relative_bias", false),
    ("alibi_slopes", false),
    ("sink", false),
    ("key_bias", true),
    ("score_bias", true),
];

/// Checks every such input that is there.
///
/// # Errors
/// [`SpecError::Value`] with the first element that is wrong.
pub(super) fn check(a: &Attention, inputs: &Tensors) -> Result<(), SpecError> {
    let d = &a.dims;
    check_lens(inputs, "lens_q", d.seq_q)?;
    check_lens(inputs, "lens_kv", d.seq_kv)?;
    if let Sequences::Packed { total_q, total_kv } = a.sequences {
        check_cu_seqlens(inputs, "cu_seqlens_q", total_q, d.seq_q)?;
        check_cu_seqlens(inputs, "cu_seqlens_kv", total_kv, d.seq_kv)?;
    }
    if let Sequences::Paged { page, pages } = a.sequences {
        check_block_table(inputs, page, pages)?;
    }
    BIASES.iter().try_for_each(|&(name, masks)| check_bias(inputs, name, masks))?;
    for name in ["q_gain", "k_gain", "query_scale", "value_scale", "sink_key", "alpha", "alpha_mean", "gate", "o_gain"]
    {
        check_numbers(inputs, name, f32::is_finite, "a finite number")?;
    }
    check_numbers(inputs, "rho", |x| x.is_finite() && x.abs() >= f32::MIN_POSITIVE, "a finite number other than 0")?;
    let within = |x: f32| (-80.0..=80.0).contains(&x);
    check_numbers(inputs, "log_norm", within, "a number of -80 to 80, whose exponential f32 holds")
}

fn check_lens(inputs: &Tensors, name: &str, most: usize) -> Result<(), SpecError> {
    let Some(lens) = inputs.get(name).and_then(Tensor::as_u32) else {
        return Ok(());
    };
    match lens.iter().position(|&n| n as usize > most) {
        None => Ok(()),
        Some(index) => {
            let (expected, given) = (format!("at most {most}"), lens[index].to_string());
            Err(SpecError::Value { operand: name.into(), index, expected, given })
        }
    }
}

fn check_cu_seqlens(inputs: &Tensors, name: &str, total: usize, longest: usize) -> Result<(), SpecError> {
    let Some(cu) = inputs.get(name).and_then(Tensor::as_u32) else {
        return Ok(());
    };
    let fault = |index: usize, expected: String| SpecError::Value {
        operand: name.into(),
        index,
        expected,
        given: cu[index].to_string(),
    };
    if cu[0] != 0 {
        return Err(fault(0, "0".into()));
    }
    for (i, pair) in cu.windows(2).enumerate() {
        let (from, to) = (pair[0] as usize, pair[1] as usize);
        if to < from || to - from > longest {
            let most = from + longest;
            return Err(fault(i + 1, format!("{from} to {most} (a sequence has at most {longest} rows)")));
        }
    }
    let last = cu.len() - 1;
    if cu[last] as usize != total { Err(fault(last, format!("the total of {total}"))) } else { Ok(()) }
}

/// Pages that a length reaches must exist; the rest of a row is not looked at.
fn check_block_table(inputs: &Tensors, page: usize, pages: usize) -> Result<(), SpecError> {
    let ints = |name| inputs.get(name).and_then(Tensor::as_u32);
    let (Some(table), Some(lens)) = (ints("block_table"), ints("lens_kv")) else {
        return Ok(());
    };
    let width = table.len() / lens.len().max(1);
    for (b, &len) in lens.iter().enumerate() {
        let used = &table[b * width..][..(len as usize).div_ceil(page).min(width)];
        if let Some(at) = used.iter().position(|&n| n as usize >= pages) {
            let (expected, given) = (format!("a page below {pages}"), used[at].to_string());
            return Err(SpecError::Value { operand: "block_table".into(), index: b * width + at, expected, given });
        }
    }
    Ok(())
}

/// The first value that is not legal. Whole chunks are looked at without a branch per value: a dense score bias is as large as all else.
fn first_illegal(values: &[f32], is_legal: impl Fn(f32) -> bool) -> Option<usize> {
    const CHUNK: usize = 4096;
    let mut chunks = values.chunks(CHUNK).enumerate();
    let (number, chunk) = chunks.find(|(_, chunk)| chunk.iter().fold(false, |found, &x| found | !is_legal(x)))?;
    chunk.iter().position(|&x| !is_legal(x)).map(|at| number * CHUNK + at)
}

fn check_bias(inputs: &Tensors, name: &str, masks: bool) -> Result<(), SpecError> {
    let is_legal = |x: f32| x.is_finite() || (masks && x == f32::NEG_INFINITY);
    check_numbers(inputs, name, is_legal, if masks { "a finite number, or -inf to mask" } else { "a finite number" })
}

fn check_numbers(
    inputs: &Tensors,
    name: &str,
    is_legal: impl Fn(f32) -> bool,
    expected: &str,
) -> Result<(), SpecError> {
    let found = match inputs.get(name).map(Tensor::data) {
        Some(Data::F32(values)) => first_illegal(values, is_legal).map(|at| (at, values[at])),
        Some(Data::F16(values)) => values.iter().map(|x| x.to_f32()).enumerate().find(|&(_, x)| !is_legal(x)),
        _ => None,
    };
    match found {
        None => Ok(()),
        Some((index, given)) => {
            let (operand, given) = (name.into(), given.to_string());
            Err(SpecError::Value { operand, index, expected: expected.into(), given })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_illegal;

    #[test]
    fn the_first_illegal_value_is_found_wherever_it_is() {
        for length in [0, 1, 4095, 4096, 4097, 10_000] {
            let mut values = vec![0.5; length];
            assert_eq!(first_illegal(&values, f32::is_finite), None);
            for at in [0, 1, 4094, 4095, 4096, 8191, 8192, 9_999].into_iter().rev().filter(|&at| at < length) {
                values[at] = f32::NAN;
                assert_eq!(first_illegal(&values, f32::is_finite), Some(at), "{length}");
            }
        }
    }
}
