//! Built-in functions and products of matrices.

use naga::{Expression, Handle, MathFunction, TypeInner};

use super::expression::unsupported;
use super::{Body, types};
use crate::Error;
use crate::code::{Bin, Kind, Op, Reg};

type Expr = Handle<Expression>;

/// How a function's arguments and result go together.
enum Style {
    /// Component by component.
    Each,
    /// Whole vectors, or bits in a word.
    Whole,
    No,
}

fn style(f: MathFunction) -> Style {
    use MathFunction as M;
    match f {
        M::Dot | M::Cross | M::Distance | M::Length | M::Normalize | M::Reflect | M::FaceForward => Style::Whole,
        M::Dot4I8Packed | M::Dot4U8Packed => Style::Whole,
        M::Pack4x8snorm | M::Pack4x8unorm | M::Pack2x16snorm | M::Pack2x16unorm | M::Pack2x16float => Style::Whole,
        M::Pack4xI8 | M::Pack4xU8 | M::Pack4xI8Clamp | M::Pack4xU8Clamp => Style::Whole,
        M::Unpack4x8snorm | M::Unpack4x8unorm | M::Unpack2x16snorm | M::Unpack2x16unorm => Style::Whole,
        M::Unpack2x16float | M::Unpack4xI8 | M::Unpack4xU8 => Style::Whole,
        M::Modf | M::Frexp | M::Outer | M::Refract | M::Inverse | M::Transpose | M::Determinant | M::InsertBits => {
            Style::No
        }
        _ => Style::Each,
    }
}

impl Body<'_, '_> {
    pub(super) fn math(
        &mut self,
        whole: Expr,
        f: MathFunction,
        more: [Option<Expr>; 3],
        first: Expr,
        dst: Reg,
    ) -> Result<(), Error> {
        let (kind, n) = self.shape(first)?;
        let mut a = [self.reg(first)?; 3];
        match style(f) {
            Style::No => return unsupported(format!("the function {f:?}")),
            Style::Whole => {
                if let Some(second) = more[0] {
                    a[1] = self.reg(second)?;
                }
                if let Some(third) = more[1] {
                    a[2] = self.reg(third)?;
                }
                self.unit.emit(Op::Geometry { f, kind, n, dst, a });
            }
            Style::Each => {
                let (_, n) = self.shape(whole)?;
                for (at, argument) in more.into_iter().flatten().enumerate().take(2) {
                    a[at + 1] = self.spread(argument, n)?;
                }
                self.unit.emit(Op::Math { f, kind, n, dst, a });
            }
        }
        Ok(())
    }

    /// A number, once for each component (the factor of `mix`).
    fn spread(&mut self, handle: Expr, n: u8) -> Result<Reg, Error> {
        let (_, own) = self.shape(handle)?;
        let src = self.reg(handle)?;
        if own == n {
            return Ok(src);
        }
        let dst = self.unit.registers(u32::from(n));
        self.unit.emit(Op::Splat { dst, src, n: u32::from(n) });
        Ok(dst)
    }

    /// `left · right`, one of them a matrix.
    pub(super) fn matrix_product(&mut self, left: Expr, right: Expr, dst: Reg) -> Result<(), Error> {
        let (l, r) = (self.inner(left), self.inner(right));
        let (a, b) = (self.reg(left)?, self.reg(right)?);
        let (kind, _) = types::shape(&l)?;
        let mul = |n, sa, sb, dst, a, b| Op::Bin { f: Bin::Mul, kind, n, sa, sb, dst, a, b };
        match (l, r) {
            (TypeInner::Matrix { rows, columns, .. }, TypeInner::Vector { .. }) => {
                self.columns_times(kind, a, b, (rows as u8, columns as u8), dst);
            }
            (TypeInner::Vector { size, .. }, TypeInner::Matrix { columns, .. }) => {
                for c in 0..columns as u32 {
                    let column = b + c * size as u32;
                    let f = MathFunction::Dot;
                    self.unit.emit(Op::Geometry { f, kind, n: size as u8, dst: dst + c, a: [a, column, column] });
                }
            }
            (TypeInner::Matrix { rows, columns, .. }, TypeInner::Matrix { columns: wide, .. }) => {
                for c in 0..wide as u32 {
                    let column = b + c * columns as u32;
                    self.columns_times(kind, a, column, (rows as u8, columns as u8), dst + c * rows as u32);
                }
            }
            (TypeInner::Matrix { rows, columns, .. }, _) => {
                self.unit.emit(mul(rows as u8 * columns as u8, 1, 0, dst, a, b));
            }
            (_, TypeInner::Matrix { rows, columns, .. }) => {
                self.unit.emit(mul(rows as u8 * columns as u8, 0, 1, dst, a, b));
            }
            _ => return unsupported("a product of these types"),
        }
        Ok(())
    }

    /// Columns of a matrix times the numbers of a vector, added up.
    fn columns_times(&mut self, kind: Kind, a: Reg, b: Reg, (rows, columns): (u8, u8), dst: Reg) {
        let term = self.unit.registers(u32::from(rows));
        for c in 0..u32::from(columns) {
            let to = if c == 0 { dst } else { term };
            let column = a + c * u32::from(rows);
            self.unit.emit(Op::Bin { f: Bin::Mul, kind, n: rows, sa: 1, sb: 0, dst: to, a: column, b: b + c });
            if c > 0 {
                self.unit.emit(Op::Bin { f: Bin::Add, kind, n: rows, sa: 1, sb: 1, dst, a: dst, b: term });
            }
        }
    }
}
