//! The self-test of f16.

use gatefold_core::{Data, Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::Step;
use half::f16;

use super::Rounding;
use super::draw::{Draw, SEED};
use super::measure::{source, step};
use super::self_test::SelfTest;
use crate::RunError;

/// Finite numbers of f16.
const COUNT: usize = 63_488;
/// Numbers of f32 that are narrowed.
const NARROWED: usize = COUNT / 4;
/// Half the spacing of f16 above 1.
const HALF: f32 = 1.0 / 2048.0;
/// From where on f32 may become infinity, and from where on WGSL promises nothing.
const LARGEST: f32 = 65_504.0;
const BEYOND: f32 = 65_519.0;

/// Every finite number, in an order that puts unlike ones side by side.
fn finite() -> Vec<f16> {
    let order = (0..COUNT).map(|n| n * 7919 % COUNT);
    let bits = order.map(|n| if n < COUNT / 2 { n } else { n - COUNT / 2 + 0x8000 });
    bits.map(|n| f16::from_bits(u16::try_from(n).unwrap_or(0))).collect()
}

/// Numbers to be narrowed: four that tell the rounding (two ties, just above a tie, and a negative number below a tie), then, in turn, any
/// within the range of f16, ties, and their neighbours.
fn wide() -> Vec<f32> {
    let mut draw = Draw(SEED);
    let mut all = vec![1.0 + HALF, 1.0 + 3.0 * HALF, 1.0 + HALF * 1.01, -1.0 - HALF * 0.9];
    while all.len() < NARROWED {
        let sign = if draw.bits() & 1 == 0 { 1.0 } else { -1.0 };
        let any = draw.single(-26.0, 15.99).exp2();
        let below = f16::from_bits(f16::from_f32(any).to_bits().clamp(1, 0x7BFE));
        let tie = f32::midpoint(below.to_f32(), f16::from_bits(below.to_bits() + 1).to_f32());
        let value = match all.len() % 4 {
            0 => any,
            1 => tie,
            2 => tie.next_up(),
            _ => tie.next_down(),
        };
        all.push(sign * value.min(BEYOND));
    }
    all
}

/// Whether a number may have become zero, as denormals may.
fn may_vanish(x: f32) -> bool {
    x.abs() < f16::MIN_POSITIVE.to_f32()
}

/// Whether `got` is one of the two neighbours of `x`, or `x` itself if f16 has it.
fn is_rounded(x: f32, got: f16) -> bool {
    let nearest = f16::from_f32(x.clamp(-LARGEST, LARGEST));
    let (size, given) = (nearest.to_bits() & 0x7FFF, got.to_bits() & 0x7FFF);
    let other = match nearest.to_f32().abs().total_cmp(&x.abs()) {
        std::cmp::Ordering::Less => size + 1,
        std::cmp::Ordering::Equal => size,
        std::cmp::Ordering::Greater => size - 1,
    };
    let vanished = may_vanish(x) && given == 0;
    // The sign of a zero is not promised.
    let same_sign = got.is_sign_negative() == x.is_sign_negative() || given == 0;
    same_sign && (given == size || given == other || vanished)
}

fn judge_copies(copied: &[f16], widened: &[f32]) -> Result<(), String> {
    let finite = finite();
    if (copied.len(), widened.len()) != (COUNT, COUNT) {
        return Err(format!("{} and {} numbers, expected {COUNT} of each", copied.len(), widened.len()));
    }
    for (at, &x) in finite.iter().enumerate() {
        let fits = |got: f32| got == x.to_f32() || (may_vanish(x.to_f32()) && got == 0.0);
        let got = copied[at];
        if !fits(got.to_f32()) {
            let (bits, want) = (got.to_bits(), x.to_bits());
            return Err(format!("number {at}: {want:#06x} was copied as {bits:#06x}"));
        }
        if !fits(widened[at]) {
            return Err(format!("number {at}: {:#06x} is {} as f32, expected {x}", x.to_bits(), widened[at]));
        }
    }
    Ok(())
}

fn judge_narrowed(narrowed: &[f16]) -> Result<(), String> {
    let wide = wide();
    if narrowed.len() != wide.len() {
        return Err(format!("{} numbers narrowed, expected {}", narrowed.len(), wide.len()));
    }
    let wrong = wide.iter().zip(narrowed).enumerate().find(|(_, (x, got))| !is_rounded(**x, **got));
    wrong
        .map_or(Ok(()), |(at, (x, got))| Err(format!("number {at}: {x:e} was narrowed to {got:e}, no neighbour of it")))
}

fn halves<'a>(outputs: &'a Tensors, name: &str) -> &'a [f16] {
    match outputs.get(name).map(Tensor::data) {
        Some(Data::F16(values)) => values,
        _ => &[],
    }
}

/// How f32 became f16, by the first four numbers.
pub(super) fn rounding(outputs: &Tensors) -> Rounding {
    let steps: Vec<_> =
        halves(outputs, "f16_narrowed").iter().take(4).map(|y| (y.to_f32().abs() - 1.0) / (2.0 * HALF)).collect();
    match steps[..] {
        [0.0, 2.0, 1.0, 0.0] => Rounding::NearestEven,
        [0.0, 1.0, 0.0, 0.0] => Rounding::TowardsZero,
        _ => Rounding::Other,
    }
}

/// The test.
///
/// # Errors
/// None that can come up: the inputs fit.
pub(super) fn test() -> Result<SelfTest, RunError> {
    let groups = u32::try_from(NARROWED / 64).unwrap_or(0);
    let names = [
        ("x", "f16_x"),
        ("wide", "f16_wide"),
        ("copied", "f16_copied"),
        ("widened", "f16_widened"),
        ("narrowed", "f16_narrowed"),
    ];
    let step = Step { f16: true, binds: names.to_vec(), ..step(source!("f16.wgsl"), Vec::new(), groups, Vec::new()) };
    let operands = vec![
        Operand::input("f16_x", [COUNT], Dtype::F16),
        Operand::input("f16_wide", [NARROWED], Dtype::F32),
        Operand::output("f16_copied", [COUNT], Dtype::F16),
        Operand::output("f16_widened", [COUNT], Dtype::F32),
        Operand::output("f16_narrowed", [NARROWED], Dtype::F16),
    ];
    let inputs = Tensors::new()
        .with("f16_x", Tensor::f16([COUNT], finite())?)
        .with("f16_wide", Tensor::f32([NARROWED], wide())?);
    let judge = Box::new(|outputs: &Tensors| {
        judge_copies(halves(outputs, "f16_copied"), &outputs["f16_widened"].to_f32())?;
        judge_narrowed(halves(outputs, "f16_narrowed"))
    });
    Ok(SelfTest { steps: vec![step], operands, inputs, judge })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_number_is_there_once() {
        let mut bits: Vec<u16> = finite().iter().map(|x| x.to_bits()).collect();
        bits.sort_unstable();
        bits.dedup();
        assert_eq!(bits.len(), COUNT);
        assert!(finite().iter().all(|x| x.is_finite()));
    }

    #[test]
    fn both_directions_of_rounding_are_legal_and_two_steps_are_not() {
        for x in wide() {
            let nearest = f16::from_f32(x.clamp(-LARGEST, LARGEST));
            assert!(is_rounded(x, nearest), "{x:e}");
            let size = nearest.to_bits();
            assert!(!is_rounded(x, f16::from_bits(size + 2)), "{x:e}");
            let up = f16::from_bits(size + 1);
            assert_eq!(is_rounded(x, up), up.to_f32().abs() > x.abs() && nearest.to_f32().abs() < x.abs(), "{x:e}");
        }
        assert!(is_rounded(1e-7, f16::ZERO) && is_rounded(-1e-7, f16::ZERO) && !is_rounded(1e-4, f16::ZERO));
        assert!(is_rounded(65_510.0, f16::INFINITY) && is_rounded(65_510.0, f16::MAX));
        assert!(!is_rounded(1.0, -f16::ONE) && !is_rounded(1.0, f16::NAN));
    }

    #[test]
    fn a_wrong_copy_is_found() {
        let (mut copied, mut widened) = (finite(), finite().iter().map(|x| x.to_f32()).collect::<Vec<_>>());
        assert_eq!(judge_copies(&copied, &widened), Ok(()));
        widened[17] += 1.0;
        assert!(judge_copies(&copied, &widened).unwrap_err().starts_with("number 17: "));
        copied[3] = f16::NAN;
        assert!(judge_copies(&copied, &widened).unwrap_err().starts_with("number 3: "));
    }
}
