//! Bits packed in words, and unpacked.

use half::f16;
use naga::MathFunction as M;

use crate::arith::{Arith, Precision};
use crate::code::Reg;
use crate::machine::{Lane, Machine};

/// Bits per part and largest number of a format of normalised parts.
fn normal(f: M) -> Option<(u32, bool)> {
    match f {
        M::Pack4x8snorm | M::Unpack4x8snorm => Some((8, true)),
        M::Pack4x8unorm | M::Unpack4x8unorm => Some((8, false)),
        M::Pack2x16snorm | M::Unpack2x16snorm => Some((16, true)),
        M::Pack2x16unorm | M::Unpack2x16unorm => Some((16, false)),
        _ => None,
    }
}

/// Part `i` of a word.
fn part(word: u32, i: u32, bits: u32, signed: bool) -> i32 {
    let raised = word << (32 - bits * (i + 1));
    if signed { raised.cast_signed() >> (32 - bits) } else { (raised >> (32 - bits)).cast_signed() }
}

impl<A: Arith> Machine<'_, A> {
    pub(crate) fn packed(&mut self, f: M, n: u8, dst: Reg, [a, b]: [Reg; 2], lane: &mut Lane) {
        let word = lane.get(a);
        match f {
            M::Pack2x16float => {
                let mut half = |i| {
                    let x = self.arith.narrow(Precision::F16, f64::from(f32::from_bits(lane.get(a + i))));
                    u32::from(f16::from_f32(x).to_bits())
                };
                let packed = half(0) | half(1) << 16;
                lane.set(dst, packed);
            }
            M::Unpack2x16float => {
                let [b0, b1, b2, b3] = word.to_le_bytes();
                lane.set(dst, f16::from_le_bytes([b0, b1]).to_f32().to_bits());
                lane.set(dst + 1, f16::from_le_bytes([b2, b3]).to_f32().to_bits());
            }
            M::Pack4xI8 | M::Pack4xU8 => {
                lane.set(dst, (0..4).fold(0, |all, i| all | (lane.get(a + i) & 0xff) << (8 * i)));
            }
            M::Pack4xI8Clamp => {
                let byte = |i| (lane.get(a + i).cast_signed().clamp(-128, 127) & 0xff).cast_unsigned();
                lane.set(dst, (0..4).fold(0, |all, i| all | byte(i) << (8 * i)));
            }
            M::Pack4xU8Clamp => {
                lane.set(dst, (0..4).fold(0, |all, i| all | lane.get(a + i).min(255) << (8 * i)));
            }
            M::Unpack4xI8 => (0..4).for_each(|i| lane.set(dst + i, part(word, i, 8, true).cast_unsigned())),
            M::Unpack4xU8 => (0..4).for_each(|i| lane.set(dst + i, part(word, i, 8, false).cast_unsigned())),
            M::Dot4I8Packed | M::Dot4U8Packed => {
                let signed = f == M::Dot4I8Packed;
                let other = lane.get(b);
                let sum: i32 = (0..4).map(|i| part(word, i, 8, signed) * part(other, i, 8, signed)).sum();
                lane.set(dst, sum.cast_unsigned());
            }
            _ => self.normalised(f, n, dst, a, lane),
        }
    }

    fn normalised(&mut self, f: M, n: u8, dst: Reg, a: Reg, lane: &mut Lane) {
        let Some((bits, signed)) = normal(f) else { return };
        let largest = f64::from((1u32 << (bits - u32::from(signed))) - 1);
        let parts = 32 / bits;
        if n > 1 {
            let mut word = 0;
            for i in 0..parts {
                let x = f64::from(f32::from_bits(lane.get(a + i))).clamp(if signed { -1.0 } else { 0.0 }, 1.0);
                #[allow(clippy::cast_possible_truncation, reason = "at most 16 bits")]
                let number = (0.5 + largest * x).floor() as i32;
                word |= (number.cast_unsigned() & ((1 << bits) - 1)) << (bits * i);
            }
            return lane.set(dst, word);
        }
        let word = lane.get(a);
        for i in 0..parts {
            let exact = (f64::from(part(word, i, bits, signed)) / largest).max(-1.0);
            let p = Precision::F32;
            let value = self.arith.within(p, exact, 3.0 * p.ulp(exact));
            lane.set(dst + i, value.to_bits());
        }
    }
}
