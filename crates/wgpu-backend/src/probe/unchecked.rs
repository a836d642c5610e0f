//! The self-test of kernels that are compiled without runtime checks.

use gatefold_core::{Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::{Dispatch, Limits, Param, Step, Window};

use super::draw::{Draw, SEED};
use super::measure::{source, step};
use super::self_test::{SelfTest, first_wrong};
use crate::RunError;

/// Trips of the loop.
const TRIPS: u32 = 23;
/// Words of the last range: no multiple of anything.
const TAIL: usize = 37;

/// What the kernel makes of one range: the same arithmetic.
fn mixed(words: &[u32]) -> Vec<u32> {
    let (count, trips) = (words.len(), TRIPS as usize);
    // Invocations beyond the range take part in what their workgroup shares.
    let own: Vec<[u32; 8]> = (0..count.next_multiple_of(64))
        .map(|at| {
            let mut own = [0; 8];
            (0..8).for_each(|i| own[(i + at % 64) % 8] = words[(at + i * trips) % count]);
            own
        })
        .collect();
    let beside = |group: usize, place: usize| own[group * 64 + 63 - place][(63 - place) % 8];
    let mix = |at: usize| {
        (0..trips).fold(0u32, |sum, trip| {
            let word = beside(at / 64, (at % 64 + trip) % 64) ^ own[at][(trip + at) % 8];
            sum.wrapping_mul(1_664_525).wrapping_add(word)
        })
    };
    (0..count).map(mix).collect()
}

/// The test: three ranges of one buffer, at both ends of it and between, with the checks and without.
///
/// # Errors
/// None that can come up: the inputs fit.
pub(super) fn test(limits: &Limits) -> Result<SelfTest, RunError> {
    let bytes = limits.offset_alignment.max(256);
    let long = usize::try_from(bytes / 4).unwrap_or(64);
    let lengths = [long, long, TAIL];
    let total = lengths.iter().sum::<usize>();
    let mut draw = Draw(SEED);
    let words: Vec<u32> = (0..total).map(|_| draw.word()).collect();
    let mut dispatches = Vec::new();
    let mut expected = Vec::new();
    for (range, length) in (0u64..).zip(lengths) {
        let count = u32::try_from(length).unwrap_or(0);
        let window = |operand| Window { operand, offset: range * bytes, bytes: u64::from(count) * 4 };
        dispatches.push(Dispatch {
            grid: [count.div_ceil(64), 1, 1],
            params: vec![("count", Param::U32(count)), ("trips", Param::U32(TRIPS))],
            windows: vec![window("words"), window("mixed")],
        });
        expected.extend(mixed(&words[expected.len()..][..length]));
    }
    let step = |name: &str, proven: bool, mixed: &'static str| Step {
        name: name.into(),
        proven,
        dispatches: dispatches.clone(),
        binds: vec![("words", "unchecked_words"), ("mixed", mixed)],
        ..step(source!("unchecked.wgsl"), Vec::new(), 1, Vec::new())
    };
    let steps =
        vec![step("probe.checked", false, "unchecked_with"), step("probe.unchecked", true, "unchecked_without")];
    let operands = vec![
        Operand::input("unchecked_words", [total], Dtype::U32),
        Operand::output("unchecked_with", [total], Dtype::U32),
        Operand::output("unchecked_without", [total], Dtype::U32),
    ];
    let inputs = Tensors::new().with("unchecked_words", Tensor::u32([total], words)?);
    let judge = Box::new(move |outputs: &Tensors| {
        let of = |name: &str| outputs[name].as_u32().unwrap_or(&[]).to_vec();
        first_wrong("with the checks", &of("unchecked_with"), &expected)?;
        first_wrong("without the checks", &of("unchecked_without"), &expected)
    });
    Ok(SelfTest { steps, operands, inputs, judge })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_range_counts_and_none_beyond() {
        let words: Vec<u32> = (0..64u32).map(|n| n.wrapping_mul(0x9E37_79B9)).collect();
        let of = mixed(&words[..TAIL]);
        assert_eq!(of, mixed(&words[..TAIL]));
        for at in 0..TAIL {
            let mut other = words[..TAIL].to_vec();
            other[at] ^= 1;
            assert_ne!(of, mixed(&other), "{at}");
        }
    }
}
