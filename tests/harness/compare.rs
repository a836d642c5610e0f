//! A kernel's outputs against the exact ones.

pub use gatefold_cpu_ref::{Comparison, compare};

use gatefold_core::{Data, Tensor, Tensors};
use gatefold_cpu_ref::Bounded;

/// Whether two sets of tensors agree in every bit; if not, the first difference in words.
pub fn same_bits(a: &Tensors, b: &Tensors) -> Result<(), String> {
    for (name, left) in a.iter() {
        let Some(right) = b.get(name) else {
            return Err(format!("{name}: missing in one of the runs"));
        };
        if left.bytes() == right.bytes() {
            continue;
        }
        let size = left.dtype().size();
        let at = left.bytes().chunks(size).zip(right.bytes().chunks(size)).position(|(x, y)| x != y).unwrap_or(0);
        let (x, y) = (left.to_f64(), right.to_f64());
        return Err(format!("{name}[{at}]: {:e} in one run, {:e} in the other", x[at], y[at]));
    }
    Ok(())
}

/// FlashAttention's measure, for readers who know it: the largest error of an output over that of a plain evaluation in f32, whose `plain`
/// outputs these are. The plain error counts as half a unit of the largest element at least, or luck would divide by nothing.
pub fn flash_ratio(exact: &Bounded, plain: &Tensors, got: &Tensors) -> f64 {
    let mut worst = 0.0_f64;
    for (name, exact) in &exact.outputs {
        let (Some(plain), Some(got)) = (plain.get(name), got.get(name)) else { continue };
        let (plain, got) = (plain.to_f64(), got.to_f64());
        let finite = || exact.values.iter().enumerate().filter(|(_, x)| x.is_finite());
        let largest = |of: &[f64]| finite().map(|(i, x)| (of[i] - x).abs()).fold(0.0, f64::max);
        let unit = finite().map(|(_, x)| x.abs()).fold(0.0, f64::max) * 2f64.powi(-24);
        let error = largest(&got);
        if error > 0.0 {
            worst = worst.max(error / largest(&plain).max(unit));
        }
    }
    worst
}

/// First word of an output that still is the poison it was filled with.
pub fn poison_left(outputs: &Tensors, poison: u32) -> Option<String> {
    let holds = |t: &Tensor| match t.data() {
        Data::F32(d) => d.iter().position(|x| x.to_bits() == poison),
        Data::U32(d) => d.iter().position(|&x| x == poison),
        Data::F16(d) => {
            let halves = poison.to_le_bytes();
            let pair = [u16::from_le_bytes([halves[0], halves[1]]), u16::from_le_bytes([halves[2], halves[3]])];
            d.chunks_exact(2).position(|x| [x[0].to_bits(), x[1].to_bits()] == pair).map(|i| 2 * i)
        }
    };
    outputs.iter().find_map(|(name, t)| holds(t).map(|i| format!("{name}[{i}]: not written, still {poison:#010x}")))
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    fn given(values: Vec<f32>) -> Tensors {
        Tensors::new().with("y", Tensor::f32([values.len()], values).unwrap())
    }

    #[test]
    fn finds_what_was_not_written() {
        let poison = 0x7FC0_DEAD;
        assert!(poison_left(&given(vec![0.0, f32::from_bits(poison)]), poison).unwrap().starts_with("y[1]"));
        assert_eq!(poison_left(&given(vec![0.0, f32::NAN]), poison), None);
        let pair = Tensor::f16([2], vec![f16::from_bits(0xDEAD), f16::from_bits(0x7FC0)]).unwrap();
        assert!(poison_left(&Tensors::new().with("y", pair), poison).is_some());
    }

    #[test]
    fn bits_are_compared_not_values() {
        assert!(same_bits(&given(vec![0.0]), &given(vec![-0.0])).unwrap_err().starts_with("y[0]"));
        assert!(same_bits(&given(vec![f32::NAN]), &given(vec![f32::NAN])).is_ok());
    }
}
