//! Operations of one invocation: arithmetic on registers.

use naga::MathFunction as M;

use crate::FindingKind;
use crate::arith::{Arith, Precision};
use crate::code::{Bin, Kind, Op, Reg, Un};
use crate::functions::{self, float, integer, scaled};
use crate::machine::{About, Lane, Machine};

pub(crate) fn precision(kind: Kind) -> Precision {
    if kind == Kind::F16 { Precision::F16 } else { Precision::F32 }
}

impl<A: Arith> Machine<'_, A> {
    /// Does what neither waits nor jumps.
    pub(crate) fn operate(&mut self, op: Op, lane: &mut Lane) {
        match op {
            Op::Copy { dst, src, n } => {
                lane.copy(dst, src, n);
            }
            Op::Splat { dst, src, n } => {
                let (word, origin) = (lane.get(src), lane.origin(src));
                (dst..dst + n).for_each(|dst| lane.set_from(dst, word, origin));
            }
            Op::Bin { f, kind, n, sa, sb, dst, a, b } => {
                let (sa, sb) = (u32::from(sa), u32::from(sb));
                for i in 0..u32::from(n) {
                    let (x, y) = (lane.get(a + i * sa), lane.get(b + i * sb));
                    let word = self.binary(f, kind, x, y);
                    let origin = joined(f, [x, y], [lane.origin(a + i * sa), lane.origin(b + i * sb)], kind);
                    lane.set_from(dst + i, word, origin);
                }
            }
            Op::Un { f, kind, n, dst, a } => {
                for i in 0..u32::from(n) {
                    lane.set_from(dst + i, unary(f, kind, lane.get(a + i)), lane.origin(a + i));
                }
            }
            Op::Select { n, sc, dst, c, a, b } => {
                for i in 0..n {
                    let from = if lane.get(c + i * sc) != 0 { a } else { b };
                    let origin = lane.origin(c + i * sc).max(lane.origin(from + i));
                    lane.set_from(dst + i, lane.get(from + i), origin);
                }
            }
            Op::Reduce { all, n, dst, a } => {
                let mut bits = (a..a + u32::from(n)).map(|reg| (lane.get(reg) != 0, lane.origin(reg)));
                // One known component may settle it.
                let settled = bits.clone().any(|(bit, origin)| bit != all && origin == 0);
                let word = if all { bits.all(|(bit, _)| bit) } else { bits.any(|(bit, _)| bit) };
                let origin = if settled { 0 } else { lane.origins(a, u32::from(n)) };
                lane.set_from(dst, u32::from(if settled { !all } else { word }), origin);
            }
            Op::Math { f, kind, n, dst, a } => self.math(f, kind, (n, dst, a), lane),
            Op::Geometry { f, kind, n, dst, a } => {
                let origin = a.map(|reg| lane.origins(reg, u32::from(n))).into_iter().max().unwrap_or(0);
                self.geometry(f, kind, (n, dst, a), lane);
                (dst..dst + results(f, n)).for_each(|reg| lane.unknown[reg as usize] = origin);
            }
            Op::Convert { from, to, n, dst, a } => {
                for i in 0..u32::from(n) {
                    let word = self.convert(from, to, lane.get(a + i));
                    lane.set_from(dst + i, word, lane.origin(a + i));
                }
            }
            Op::Halves { pack, n, dst, a } => halves(pack, n, dst, a, lane),
            Op::Pick { dst, src, at, len, words, signed } => {
                self.decides(lane.origin(at), "is an index");
                let at = self.checked(lane.get(at), signed, len, None);
                lane.copy(dst, src + at.unwrap_or(0) * words, words);
            }
            _ => self.memory(op, lane),
        }
    }

    pub(crate) fn binary(&mut self, f: Bin, kind: Kind, x: u32, y: u32) -> u32 {
        match kind {
            Kind::F32 | Kind::F16 => self.binary_float(f, precision(kind), f32::from_bits(x), f32::from_bits(y)),
            Kind::U32 => self.binary_unsigned(f, x, y),
            Kind::I32 => self.binary_signed(f, x.cast_signed(), y),
            Kind::Bool => match f {
                Bin::Eq => u32::from(x == y),
                Bin::Ne | Bin::Xor => u32::from(x != y),
                Bin::And => x & y,
                _ => x | y,
            },
        }
    }

    fn binary_float(&mut self, f: Bin, p: Precision, x: f32, y: f32) -> u32 {
        let ar = &mut self.arith;
        let value = match f {
            Bin::Add => ar.add(p, x, y),
            Bin::Sub => ar.sub(p, x, y),
            Bin::Mul => ar.mul(p, x, y),
            Bin::Div => ar.div(p, x, y),
            Bin::Rem if A::EXACT => x % y,
            Bin::Rem => {
                let quotient = ar.div(p, x, y).trunc();
                let product = ar.mul(p, quotient, y);
                ar.sub(p, x, product)
            }
            // A comparison with a NaN may say anything.
            _ if !A::EXACT && (x.is_nan() || y.is_nan()) => return u32::from(ar.coin()),
            Bin::Eq => return u32::from(x == y),
            Bin::Ne => return u32::from(x != y),
            Bin::Lt => return u32::from(x < y),
            Bin::Le => return u32::from(x <= y),
            Bin::Gt => return u32::from(x > y),
            _ => return u32::from(x >= y),
        };
        value.to_bits()
    }

    fn divides(&mut self, by_zero: bool) -> bool {
        let message = if by_zero { "division by zero" } else { "the least number divided by -1" };
        self.fault(FindingKind::DivisionByZero, |_| About { message: message.into(), ..About::default() });
        false
    }

    fn shift(&mut self, by: u32) -> u32 {
        if by >= 32 {
            let message = format!("a word of 32 bits shifted by {by}");
            self.fault(FindingKind::Shift, |_| About { message, ..About::default() });
        }
        by & 31
    }

    fn binary_unsigned(&mut self, f: Bin, x: u32, y: u32) -> u32 {
        match f {
            Bin::Add => x.wrapping_add(y),
            Bin::Sub => x.wrapping_sub(y),
            Bin::Mul => x.wrapping_mul(y),
            Bin::Div | Bin::Rem if y == 0 => {
                self.divides(true);
                if f == Bin::Div { x } else { 0 }
            }
            Bin::Div => x / y,
            Bin::Rem => x % y,
            Bin::Eq => u32::from(x == y),
            Bin::Ne => u32::from(x != y),
            Bin::Lt => u32::from(x < y),
            Bin::Le => u32::from(x <= y),
            Bin::Gt => u32::from(x > y),
            Bin::Ge => u32::from(x >= y),
            Bin::And => x & y,
            Bin::Or => x | y,
            Bin::Xor => x ^ y,
            Bin::Shl => x << self.shift(y),
            Bin::Shr => x >> self.shift(y),
        }
    }

    fn binary_signed(&mut self, f: Bin, x: i32, bits: u32) -> u32 {
        let y = bits.cast_signed();
        let signed = match f {
            Bin::Div | Bin::Rem if y == 0 || (x == i32::MIN && y == -1) => {
                self.divides(y == 0);
                if f == Bin::Div { x } else { 0 }
            }
            Bin::Div => x / y,
            Bin::Rem => x % y,
            Bin::Lt => return u32::from(x < y),
            Bin::Le => return u32::from(x <= y),
            Bin::Gt => return u32::from(x > y),
            Bin::Ge => return u32::from(x >= y),
            Bin::Shr => x >> self.shift(bits),
            _ => return self.binary_unsigned(f, x.cast_unsigned(), bits),
        };
        signed.cast_unsigned()
    }

    fn math(&mut self, f: M, kind: Kind, (n, dst, a): (u8, Reg, [Reg; 3]), lane: &mut Lane) {
        for i in 0..u32::from(n) {
            let words = a.map(|reg| lane.get(reg + i));
            let word = if f == M::Ldexp {
                let exponent = words[1].cast_signed();
                scaled(&mut self.arith, precision(kind), f32::from_bits(words[0]), exponent).to_bits()
            } else if kind.is_float() {
                let value = float(&mut self.arith, f, precision(kind), words.map(f32::from_bits));
                value.map_or(0, f32::to_bits)
            } else {
                integer(f, kind == Kind::I32, words).unwrap_or(0)
            };
            let origin = a.map(|reg| lane.origin(reg + i)).into_iter().max().unwrap_or(0);
            lane.set_from(dst + i, word, origin);
        }
    }

    pub(crate) fn convert(&mut self, from: Kind, to: Kind, word: u32) -> u32 {
        let number = match from {
            Kind::F32 | Kind::F16 => f64::from(f32::from_bits(word)),
            Kind::I32 => f64::from(word.cast_signed()),
            Kind::U32 | Kind::Bool => f64::from(word),
        };
        match to {
            Kind::F32 | Kind::F16 => self.arith.narrow(precision(to), number).to_bits(),
            Kind::Bool => u32::from(number != 0.0),
            _ if !from.is_float() => word,
            #[allow(
                clippy::cast_possible_truncation,
                reason = "numbers beyond the type become its ends, as WGSL has it"
            )]
            Kind::I32 => (number as i32).cast_unsigned(),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "numbers beyond the type become its ends, as WGSL has it"
            )]
            Kind::U32 => number as u32,
        }
    }

    /// `Σ x·y`.
    fn dot(&mut self, kind: Kind, n: u8, a: Reg, b: Reg, lane: &Lane) -> u32 {
        let mut sum = self.binary(Bin::Mul, kind, lane.get(a), lane.get(b));
        for i in 1..u32::from(n) {
            let term = self.binary(Bin::Mul, kind, lane.get(a + i), lane.get(b + i));
            sum = self.binary(Bin::Add, kind, sum, term);
        }
        sum
    }

    fn geometry(&mut self, f: M, kind: Kind, (n, dst, [a, b, c]): (u8, Reg, [Reg; 3]), lane: &mut Lane) {
        let (p, wide) = (precision(kind), u32::from(n));
        match f {
            M::Dot => {
                let word = self.dot(kind, n, a, b, lane);
                lane.set(dst, word);
            }
            M::Cross => {
                for i in 0..3 {
                    let (j, k) = ((i + 1) % 3, (i + 2) % 3);
                    let left = self.binary(Bin::Mul, kind, lane.get(a + j), lane.get(b + k));
                    let right = self.binary(Bin::Mul, kind, lane.get(a + k), lane.get(b + j));
                    let word = self.binary(Bin::Sub, kind, left, right);
                    lane.set(dst + i, word);
                }
            }
            M::Length | M::Normalize => {
                let square = self.dot(kind, n, a, a, lane);
                let root = functions::sqrt(&mut self.arith, p, f32::from_bits(square)).to_bits();
                if f == M::Length {
                    return lane.set(dst, root);
                }
                for i in 0..wide {
                    let word = self.binary(Bin::Div, kind, lane.get(a + i), root);
                    lane.set(dst + i, word);
                }
            }
            M::Distance => {
                let mut square = 0.0;
                for i in 0..wide {
                    let (x, y) = (f32::from_bits(lane.get(a + i)), f32::from_bits(lane.get(b + i)));
                    let difference = self.arith.sub(p, x, y);
                    let term = self.arith.mul(p, difference, difference);
                    square = self.arith.add(p, square, term);
                }
                lane.set(dst, functions::sqrt(&mut self.arith, p, square).to_bits());
            }
            M::Reflect => {
                // e1 - 2 dot(e2, e1) e2
                let product = self.dot(kind, n, b, a, lane);
                for i in 0..wide {
                    let twice = self.binary(Bin::Mul, kind, 2f32.to_bits(), product);
                    let term = self.binary(Bin::Mul, kind, twice, lane.get(b + i));
                    let word = self.binary(Bin::Sub, kind, lane.get(a + i), term);
                    lane.set(dst + i, word);
                }
            }
            M::FaceForward => {
                let product = f32::from_bits(self.dot(kind, n, b, c, lane));
                let flip = if product < 0.0 { 0 } else { 1 << 31 };
                (0..wide).for_each(|i| lane.set(dst + i, lane.get(a + i) ^ flip));
            }
            _ => self.packed(f, n, dst, [a, b], lane),
        }
    }
}

/// What a result depends on. A known 0 settles an `and`, a known 1 of bits an `or`.
fn joined(f: Bin, words: [u32; 2], origins: [u32; 2], kind: Kind) -> u32 {
    if origins == [0, 0] {
        return 0;
    }
    let ones = if kind == Kind::Bool { 1 } else { u32::MAX };
    let settles = |at: usize| match f {
        Bin::And => words[at] == 0,
        Bin::Or => words[at] == ones,
        _ => false,
    };
    let settled = (0..2).any(|at| origins[at] == 0 && settles(at));
    if settled { 0 } else { origins[0].max(origins[1]) }
}

/// Registers that a function of whole vectors sets.
fn results(f: M, n: u8) -> u32 {
    match f {
        M::Cross => 3,
        M::Normalize | M::Reflect | M::FaceForward => u32::from(n),
        M::Unpack2x16float | M::Unpack2x16snorm | M::Unpack2x16unorm => 2,
        M::Unpack4x8snorm | M::Unpack4x8unorm | M::Unpack4xI8 | M::Unpack4xU8 => 4,
        _ => 1,
    }
}

fn unary(f: Un, kind: Kind, x: u32) -> u32 {
    match f {
        Un::Neg if kind.is_float() => x ^ (1 << 31),
        Un::Neg => x.wrapping_neg(),
        Un::Not => u32::from(x == 0),
        Un::Flip if kind == Kind::Bool => u32::from(x == 0),
        Un::Flip => !x,
        Un::IsNan => u32::from(f32::from_bits(x).is_nan()),
        Un::IsInf => u32::from(f32::from_bits(x).is_infinite()),
    }
}

/// Bits of `f16` pairs to words and back.
fn halves(pack: bool, n: u8, dst: Reg, a: Reg, lane: &mut Lane) {
    use half::f16;
    let bits = |word: u32| u32::from(f16::from_f32(f32::from_bits(word)).to_bits());
    for i in 0..u32::from(n) {
        if pack {
            let word = bits(lane.get(a + 2 * i)) | bits(lane.get(a + 2 * i + 1)) << 16;
            lane.set_from(dst + i, word, lane.origins(a + 2 * i, 2));
        } else {
            let [b0, b1, b2, b3] = lane.get(a + i).to_le_bytes();
            let origin = lane.origin(a + i);
            lane.set_from(dst + 2 * i, f16::from_le_bytes([b0, b1]).to_f32().to_bits(), origin);
            lane.set_from(dst + 2 * i + 1, f16::from_le_bytes([b2, b3]).to_f32().to_bits(), origin);
        }
    }
}
