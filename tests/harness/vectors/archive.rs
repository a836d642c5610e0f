//! Safetensors files with a `case`: read with care, for they may come from anywhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use gatefold_core::{Dtype, Tensor, Tensors};
use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as FileDtype, TensorView};
use serde_json::Value;

/// Largest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Largest product of the dimensions of an array that are not 0, where it has no elements: what is made by its shape costs nothing to ask for.
const MOST_OF_NOTHING: usize = 1 << 24;

/// An array of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Shape, outermost dimension first.
    pub dims: Vec<usize>,
    /// Element type in the file.
    pub dtype: FileDtype,
    /// The elements, exactly (integers beyond 2⁵³ rounded). `true` is 1.
    pub values: Vec<f64>,
}

impl Array {
    /// An array of these elements.
    ///
    /// # Errors
    /// If the shape has another count of elements, or has none and is large.
    pub fn new(dims: &[usize], dtype: FileDtype, values: Vec<f64>) -> Result<Self, String> {
        let extent = dims.iter().filter(|&&d| d != 0).try_fold(1usize, |n, &d| n.checked_mul(d));
        let count = if dims.contains(&0) { Some(0) } else { extent };
        if count != Some(values.len()) || extent.is_none_or(|n| n > MOST_OF_NOTHING.max(values.len())) {
            return Err(format!("shape {dims:?} with {} elements", values.len()));
        }
        Ok(Self { dims: dims.to_vec(), dtype, values })
    }

    fn read(view: &TensorView<'_>) -> Result<Self, String> {
        let data = view.data();
        macro_rules! numbers {
            ($ty:ty) => {
                data.chunks_exact(size_of::<$ty>()).map(|b| b.try_into().map(<$ty>::from_le_bytes).unwrap_or_default())
            };
        }
        let values: Vec<f64> = match view.dtype() {
            FileDtype::F32 => numbers!(f32).map(f64::from).collect(),
            FileDtype::F64 => numbers!(f64).collect(),
            FileDtype::F16 => numbers!(u16).map(|b| f64::from(f16::from_bits(b))).collect(),
            FileDtype::BF16 => numbers!(u16).map(|b| f64::from(bf16::from_bits(b))).collect(),
            FileDtype::I32 => numbers!(i32).map(f64::from).collect(),
            FileDtype::U32 => numbers!(u32).map(f64::from).collect(),
            FileDtype::I64 => numbers!(i64).map(|x| x as f64).collect(),
            FileDtype::U64 => numbers!(u64).map(|x| x as f64).collect(),
            FileDtype::BOOL | FileDtype::U8 => data.iter().map(|&b| f64::from(b)).collect(),
            other => return Err(format!("element type {other:?}")),
        };
        Self::new(view.shape(), view.dtype(), values)
    }

    /// Whether the elements are floats of any size.
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, FileDtype::F16 | FileDtype::BF16 | FileDtype::F32 | FileDtype::F64)
    }

    /// The storage type of the library that holds this array: f16 stays, other floats become f32, integers u32.
    pub fn storage(&self) -> Dtype {
        match self.dtype {
            FileDtype::F16 => Dtype::F16,
            _ if self.is_float() => Dtype::F32,
            _ => Dtype::U32,
        }
    }

    /// As a tensor of type `dtype`, floats rounded once.
    ///
    /// # Errors
    /// An integer that is negative or too large.
    pub fn tensor(&self, dtype: Dtype) -> Result<Tensor, String> {
        let made = match dtype {
            Dtype::U32 => {
                let whole = |&x: &f64| (x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&x)).then_some(x);
                let all: Option<Vec<f64>> = self.values.iter().map(whole).collect();
                let all = all.ok_or("expected whole numbers from 0 to 2^32 - 1")?;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
                let all: Vec<u32> = all.into_iter().map(|x| x as u32).collect();
                Tensor::u32(self.dims.clone(), all)
            }
            Dtype::F16 => {
                Tensor::f16(self.dims.clone(), self.values.iter().map(|&x| f16::from_f64(x)).collect::<Vec<_>>())
            }
            Dtype::F32 => {
                #[allow(clippy::cast_possible_truncation, reason = "rounding to storage is meant")]
                let all: Vec<f32> = self.values.iter().map(|&x| x as f32).collect();
                Tensor::f32(self.dims.clone(), all)
            }
        };
        made.map_err(|e| e.to_string())
    }

    /// The array with its dimensions in another order: dimension `i` of the result is dimension `order[i]` of this one.
    ///
    /// # Errors
    /// If `order` does not name each dimension of the array once.
    pub fn permuted(&self, order: &[usize]) -> Result<Self, String> {
        let mut named = order.to_vec();
        named.sort_unstable();
        if !named.into_iter().eq(0..self.dims.len()) {
            return Err(format!("shape {:?} cannot be put in the order {order:?}", self.dims));
        }
        let dims: Vec<usize> = order.iter().map(|&o| self.dims[o]).collect();
        let mut strides = vec![1usize; self.dims.len()];
        for d in (1..self.dims.len()).rev() {
            strides[d - 1] = strides[d] * self.dims[d];
        }
        let mut values = Vec::with_capacity(self.values.len());
        let mut index = vec![0usize; dims.len()];
        for _ in 0..self.values.len() {
            values.push(self.values[index.iter().zip(order).map(|(i, &o)| i * strides[o]).sum::<usize>()]);
            for d in (0..dims.len()).rev() {
                index[d] += 1;
                if index[d] < dims[d] {
                    break;
                }
                index[d] = 0;
            }
        }
        Ok(Self { dims, dtype: self.dtype, values })
    }

    /// The array with another shape of as many elements.
    ///
    /// # Errors
    /// If the counts differ.
    pub fn reshaped(&self, dims: &[usize]) -> Result<Self, String> {
        match dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) {
            Some(n) if n == self.values.len() => Ok(Self { dims: dims.to_vec(), ..self.clone() }),
            _ => Err(format!("shape {:?} cannot become {dims:?}", self.dims)),
        }
    }
}

/// A file's case and arrays.
#[derive(Debug, Clone)]
pub struct Archive {
    /// File name without folder and ending.
    pub name: String,
    /// Metadata `case`.
    pub case: Value,
    /// Arrays by name. `Err`: an array of a type that cannot be read, in words.
    pub arrays: BTreeMap<String, Result<Array, String>>,
}

impl Archive {
    /// Reads a file.
    ///
    /// # Errors
    /// In words, for whatever is not a well-formed case.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
        if bytes > MAX_BYTES {
            return Err(format!("{bytes} bytes, at most {MAX_BYTES} are read"));
        }
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Self::parse(&name, &std::fs::read(path).map_err(|e| e.to_string())?)
    }

    /// Reads a file's contents.
    ///
    /// # Errors
    /// As [`Archive::read`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("not a safetensors file: {e}"))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a safetensors file: {e}"))?;
        let case = header.metadata().as_ref().and_then(|m| m.get("case")).ok_or("no metadata entry \"case\"")?;
        let case = serde_json::from_str(case).map_err(|e| format!("metadata entry \"case\": {e}"))?;
        let arrays = file.iter().map(|(name, view)| (name.to_string(), Array::read(&view))).collect();
        Ok(Self { name: name.into(), case, arrays })
    }

    /// The array of that name, if there is one.
    ///
    /// # Errors
    /// If it has a type that cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<&Array>, String> {
        match self.arrays.get(name) {
            None => Ok(None),
            Some(Ok(array)) => Ok(Some(array)),
            Some(Err(why)) => Err(format!("{name}: {why}")),
        }
    }

    /// The array of that name.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn need(&self, name: &str) -> Result<&Array, String> {
        self.get(name)?.ok_or_else(|| format!("{name}: expected a tensor, there is none"))
    }
}

/// Writes tensors as a safetensors file with a metadata entry `case`.
///
/// # Errors
/// In words.
pub fn write(path: &Path, tensors: &Tensors, case: &Value) -> Result<(), String> {
    let mut views = Vec::new();
    for (name, t) in tensors.iter() {
        let dtype = match t.dtype() {
            Dtype::F32 => FileDtype::F32,
            Dtype::F16 => FileDtype::F16,
            Dtype::U32 => FileDtype::U32,
        };
        let view = TensorView::new(dtype, t.dims().to_vec(), t.bytes()).map_err(|e| format!("{name}: {e}"))?;
        views.push((name.to_string(), view));
    }
    let metadata = HashMap::from([("case".to_string(), case.to_string())]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permuting_moves_elements() {
        let a = Array { dims: vec![2, 3], dtype: FileDtype::F32, values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0] };
        let b = a.permuted(&[1, 0]).unwrap();
        assert_eq!((b.dims.clone(), b.values.clone()), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(b.permuted(&[1, 0]).unwrap(), a);
        assert!(a.permuted(&[1, 1]).is_err() && a.permuted(&[0]).is_err());
    }

    #[test]
    fn hostile_files_are_errors() {
        let header = |json: &str| [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        let huge = r#"{"q":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
        let beyond = r#"{"q":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        for bytes in [vec![], vec![0xff; 8], vec![0xff; 100], header("{}"), header("[1"), header(huge), header(beyond)]
        {
            assert!(Archive::parse("x", &bytes).is_err(), "{bytes:?}");
        }
        let nothing = r#"{"q":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]},"__metadata__":{"case":"{}"}}"#;
        assert!(Archive::parse("x", &header(nothing)).unwrap().need("q").unwrap_err().contains("shape"));
        let bad_case = header(r#"{"__metadata__":{"case":"{"}}"#);
        assert!(Archive::parse("x", &bad_case).unwrap_err().contains("case"));
    }
}
