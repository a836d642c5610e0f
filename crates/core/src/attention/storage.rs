//! How keys and values are stored.

use serde::{Deserialize, Serialize};

use super::{Attention, FeatureMap};
use crate::{Dtype, Operand, SpecError, Tensor};

/// How keys and values, or rows of a cache, are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// As `dtype` says.
    #[default]
    Float,
    /// Numbers of 8 bits times a scale: an element is `scale·n`, with an integer `n` of −128 to 127 and an f32 scale. Four of them share a
    /// u32, so a row of `dim` elements has `⌈dim / 4⌉` words: element `d` is byte `d mod 4` of word `d / 4`, the first one lowest, in two's
    /// complement. Bytes of the last word beyond `dim` may hold anything. [`pack_int8`] makes such a tensor.
    ///
    /// A scale that is NaN, infinite or at least 2¹²¹ in magnitude, whose products f32 may not hold, makes every element of its rows NaN.
    Int8 {
        /// What has a scale of its own.
        scales: Scales,
    },
}

/// What has a scale of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scales {
    /// Every row of every key/value head: shape of `k`, of `v` or of the cache, without the last dimension.
    PerToken,
    /// Every key/value head: `[kv_heads]`.
    PerHead,
}

/// From here on (2¹²¹) a scale is too large.
pub const SCALE_LIMIT: f32 = f32::from_bits((127 + 121) << 23);

impl Storage {
    /// Int8 with a scale for every row.
    pub const INT8_PER_TOKEN: Self = Self::Int8 { scales: Scales::PerToken };
    /// Int8 with a scale for every key/value head.
    pub const INT8_PER_HEAD: Self = Self::Int8 { scales: Scales::PerHead };

    /// Whether elements are floats.
    pub fn is_float(&self) -> bool {
        *self == Self::Float
    }

    /// What has a scale of its own, if anything.
    pub const fn scales(self) -> Option<Scales> {
        match self {
            Self::Float => None,
            Self::Int8 { scales } => Some(scales),
        }
    }

    /// Name as in labels and variant names; `None` for floats, whose type is named already.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Float => None,
            Self::Int8 { scales: Scales::PerToken } => Some("int8_per_token"),
            Self::Int8 { scales: Scales::PerHead } => Some("int8_per_head"),
        }
    }

    /// Elements of a row of `dim` numbers in memory, and their type, if floats are of type `dtype`.
    pub const fn row(self, dim: usize, dtype: Dtype) -> (usize, Dtype) {
        match self {
            Self::Float => (dim, dtype),
            Self::Int8 { .. } => (dim.div_ceil(4), Dtype::U32),
        }
    }
}

/// Rows of int8 as [`Storage::Int8`] has them: `dims` is the shape of `values`, row-major, whose last dimension is a row. The tensor is in u32 and
/// its last dimension is `⌈dim / 4⌉`; the bytes beyond a row are 0.
///
/// ```
/// let packed = gatefold_core::attention::pack_int8([1, 5], &[1, -1, 2, -128, 127]).unwrap();
/// assert_eq!(packed.as_u32(), Some(&[0x8002_ff01, 0x7f][..]));
/// ```
///
/// # Errors
/// [`SpecError::ElementCount`] if the count of values is not the product of `dims`.
pub fn pack_int8(dims: impl Into<Vec<usize>>, values: &[i8]) -> Result<Tensor, SpecError> {
    let mut dims = dims.into();
    let expected = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    if expected != values.len() {
        return Err(SpecError::ElementCount { dims, expected, given: values.len() });
    }
    let width = dims.last().copied().unwrap_or(1);
    if let Some(last) = dims.last_mut() {
        *last = width.div_ceil(4);
    }
    let word = |four: &[i8]| {
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(four).for_each(|(to, from)| *to = from.to_ne_bytes()[0]);
        u32::from_le_bytes(bytes)
    };
    let words: Vec<u32> = values.chunks(width.max(1)).flat_map(|row| row.chunks(4).map(word)).collect();
    Tensor::u32(dims, words)
}

impl Attention {
    /// `q`, `k`, `v` and the scales of the last two.
    pub(super) fn main_inputs(&self) -> Vec<Operand> {
        let d = &self.dims;
        let of_keys = |name, dim| {
            let (width, dtype) = self.storage.row(dim, self.dtype);
            Operand::input(name, self.key_dims(width), dtype)
        };
        let q = Operand::input("q", self.query_dims(d.head_dim), self.dtype);
        let mut all = vec![q, of_keys("k", d.head_dim), of_keys("v", d.val_dim)];
        let rows = || {
            let mut dims = self.key_dims(1);
            dims.pop();
            dims
        };
        let scales = self.storage.scales().map(|scales| match scales {
            Scales::PerToken => rows(),
            Scales::PerHead => vec![d.kv_heads],
        });
        all.extend(
            scales
                .into_iter()
                .flat_map(|dims| ["k_scale", "v_scale"].map(|name| Operand::input(name, dims.clone(), Dtype::F32))),
        );
        all.extend(self.slope_input());
        all
    }

    pub(super) fn check_storage(&self) -> Result<(), SpecError> {
        let p = &self.prologue;
        let with = "storage: int8";
        if self.storage == Storage::Float {
            return Ok(());
        }
        if p.key_norm.is_some() || p.value_scale.is_some() || p.key_penalty.is_some() {
            let option = "prologue.key_norm, value_scale or key_penalty";
            let reason = "rows are normalised and scaled before they are rounded to int8";
            return Err(SpecError::Conflict { option, with, reason });
        }
        FeatureMap::check_cache(p.feature_map, with)?;
        if self.epilogue.affine {
            let reason = "means of values are formed of floats";
            return Err(SpecError::Conflict { option: "epilogue.affine", with, reason });
        }
        Ok(())
    }

    /// Refuses int8 to an op.
    pub(super) fn check_float(&self, option: &'static str, reason: &'static str) -> Result<(), SpecError> {
        match self.storage {
            Storage::Float => Ok(()),
            Storage::Int8 { .. } => Err(SpecError::Conflict { option, with: "storage: int8", reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;
    use crate::attention::{Dims, Sequences};

    #[test]
    fn rows_are_padded_to_words() {
        let values: Vec<i8> = (0..12).collect();
        let packed = pack_int8([2, 1, 6], &values).unwrap();
        assert_eq!((packed.dims(), packed.as_u32().unwrap()[3]), (&[2, 1, 2][..], 0x0b0a));
        assert!(pack_int8([2, 5], &values).is_err());
        assert_eq!(pack_int8([0, 5], &[]).unwrap().dims(), [0, 2]);
    }

    #[test]
    fn scales_lie_as_rows_do() {
        let spec = Attention { storage: Storage::INT8_PER_TOKEN, ..Attention::softmax(Dims::new(2, 3, 7, 10)) };
        let dims = |a: &Attention, name: &str| a.operands().into_iter().find(|o| o.name == name).unwrap().dims;
        assert_eq!((dims(&spec, "k"), dims(&spec, "k_scale")), (vec![2, 3, 7, 3], vec![2, 3, 7]));
        let paged = Attention { sequences: Sequences::Paged { page: 4, pages: 5 }, ..spec.clone() };
        assert_eq!((dims(&paged, "v"), dims(&paged, "v_scale")), (vec![5, 4, 3, 3], vec![5, 4, 3]));
        assert_eq!(dims(&Attention { storage: Storage::INT8_PER_HEAD, ..paged }, "v_scale"), [3]);
        let packed = Attention { sequences: Sequences::Packed { total_q: 9, total_kv: 11 }, ..spec };
        assert_eq!(dims(&packed, "k_scale"), [11, 3]);
    }
}
