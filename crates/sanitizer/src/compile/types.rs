//! Shapes of types: scalars of a value, and where they lie in a buffer.

use naga::{ArraySize, Scalar, ScalarKind, Type, TypeInner, UniqueArena, VectorSize};

use crate::Error;
use crate::code::Kind;

type Types = UniqueArena<Type>;

fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into(), line: 0 }
}

pub(super) fn kind(scalar: Scalar) -> Result<Kind, Error> {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => Ok(Kind::F32),
        (ScalarKind::Float, 2) => Ok(Kind::F16),
        (ScalarKind::Sint, 4) => Ok(Kind::I32),
        (ScalarKind::Uint, 4) => Ok(Kind::U32),
        (ScalarKind::Bool, _) => Ok(Kind::Bool),
        (kind, width) => Err(unsupported(format!("scalars of {} bits ({kind:?})", 8 * u32::from(width)))),
    }
}

/// Bytes from one column of a matrix to the next.
fn column_bytes(rows: VectorSize, scalar: Scalar) -> u32 {
    let rows = if rows == VectorSize::Bi { 2 } else { 4 };
    rows * u32::from(scalar.width)
}

/// A number of elements; `None` for an array that is as long as its buffer.
fn count(size: ArraySize) -> Result<Option<u32>, Error> {
    match size {
        ArraySize::Constant(n) => Ok(Some(n.get())),
        ArraySize::Dynamic => Ok(None),
        ArraySize::Pending(_) => Err(unsupported("an array whose size is an override without a value")),
    }
}

/// What a type is made of: `(type of an element, elements, bytes from one to the next)`; `None` for scalars and structs.
pub(super) fn elements(types: &Types, inner: &TypeInner) -> Result<Option<(TypeInner, Option<u32>, u32)>, Error> {
    Ok(match *inner {
        TypeInner::Vector { size, scalar } => {
            Some((TypeInner::Scalar(scalar), Some(size as u32), u32::from(scalar.width)))
        }
        TypeInner::Matrix { columns, rows, scalar } => {
            Some((TypeInner::Vector { size: rows, scalar }, Some(columns as u32), column_bytes(rows, scalar)))
        }
        TypeInner::Array { base, size, stride } => Some((types[base].inner.clone(), count(size)?, stride)),
        _ => None,
    })
}

/// The scalars of a value in order: byte in a buffer, and kind. An array that is as long as its buffer has none.
pub(super) fn scalars(types: &Types, inner: &TypeInner, byte: u32, all: &mut Vec<(u32, Kind)>) -> Result<(), Error> {
    match *inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => all.push((byte, kind(scalar)?)),
        TypeInner::Struct { ref members, .. } => {
            for member in members {
                scalars(types, &types[member.ty].inner, byte + member.offset, all)?;
            }
        }
        TypeInner::CooperativeMatrix { .. } => return Err(unsupported("cooperative matrices")),
        _ => {
            let Some((element, count, stride)) = elements(types, inner)? else {
                return Err(unsupported("a type that is neither a number nor made of numbers"));
            };
            for i in 0..count.unwrap_or(0) {
                scalars(types, &element, byte + i * stride, all)?;
            }
        }
    }
    Ok(())
}

/// The scalars of a value, as words.
pub(super) fn words(types: &Types, inner: &TypeInner) -> Result<u32, Error> {
    Ok(match *inner {
        TypeInner::Pointer { .. } | TypeInner::ValuePointer { .. } => 1,
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => kind(scalar).map(|_| 1)?,
        TypeInner::Struct { ref members, .. } => {
            let mut all = 0;
            for member in members {
                all += words(types, &types[member.ty].inner)?;
            }
            all
        }
        TypeInner::CooperativeMatrix { .. } => return Err(unsupported("cooperative matrices")),
        _ => match elements(types, inner)? {
            Some((element, count, _)) => count.unwrap_or(0) * words(types, &element)?,
            None => return Err(unsupported("a type that is neither a number nor made of numbers")),
        },
    })
}

/// Where part `index` of a value begins: words, and bytes in a buffer.
pub(super) fn part(types: &Types, inner: &TypeInner, index: u32) -> Result<(u32, u32), Error> {
    if let TypeInner::Struct { members, .. } = inner {
        let mut before = 0;
        for member in &members[..index as usize] {
            before += words(types, &types[member.ty].inner)?;
        }
        return Ok((before, members[index as usize].offset));
    }
    match elements(types, inner)? {
        Some((element, _, stride)) => Ok((index * words(types, &element)?, index * stride)),
        None => Err(unsupported("an index into a type without parts")),
    }
}

/// The type behind a pointer.
pub(super) fn pointee(types: &Types, inner: &TypeInner) -> Option<TypeInner> {
    match *inner {
        TypeInner::Pointer { base, .. } => Some(types[base].inner.clone()),
        TypeInner::ValuePointer { size: Some(size), scalar, .. } => Some(TypeInner::Vector { size, scalar }),
        TypeInner::ValuePointer { size: None, scalar, .. } => Some(TypeInner::Scalar(scalar)),
        _ => None,
    }
}

/// Kind and number of the components of a scalar, vector or matrix.
pub(super) fn shape(inner: &TypeInner) -> Result<(Kind, u8), Error> {
    match *inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => Ok((kind(scalar)?, 1)),
        TypeInner::Vector { size, scalar } => Ok((kind(scalar)?, size as u8)),
        TypeInner::Matrix { columns, rows, scalar } => Ok((kind(scalar)?, columns as u8 * rows as u8)),
        _ => Err(unsupported("arithmetic on a type that is not made of numbers")),
    }
}
