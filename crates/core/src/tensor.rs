//! Host tensors: a shape and shared, immutable data.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use half::f16;
use serde::{Deserialize, Serialize};

use crate::SpecError;

/// Element type of a tensor in memory. Arithmetic is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// IEEE binary32.
    #[default]
    F32,
    /// IEEE binary16, storage only.
    F16,
    /// Unsigned 32-bit integers: lengths and offsets.
    U32,
}

impl Dtype {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }

    /// The name used in files, errors and variant names: `f32`, `f16`, `u32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::U32 => "u32",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The elements of a [`Tensor`], shared between its clones.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// f32 elements.
    F32(Arc<[f32]>),
    /// f16 elements.
    F16(Arc<[f16]>),
    /// u32 elements.
    U32(Arc<[u32]>),
}

/// A contiguous, row-major host tensor. Cloning shares the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dims: Vec<usize>,
    data: Data,
}

impl Default for Tensor {
    /// An empty f32 tensor of shape `[0]`; it stands for "not given".
    fn default() -> Self {
        Self { dims: vec![0], data: Data::F32(Arc::new([])) }
    }
}

fn element_count(dims: &[usize], given: usize) -> Result<(), SpecError> {
    let expected = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    if expected == given { Ok(()) } else { Err(SpecError::ElementCount { dims: dims.to_vec(), expected, given }) }
}

/// Elements from memory, copied once if it is aligned.
fn shared<T: bytemuck::Pod>(bytes: &[u8]) -> Arc<[T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(elements) => Arc::from(elements),
        Err(_) => bytemuck::pod_collect_to_vec(bytes).into(),
    }
}

impl Tensor {
    /// An f32 tensor of shape `dims` from row-major data.
    ///
    /// # Errors
    /// [`SpecError::ElementCount`] if the data's length is not the product of `dims`.
    pub fn f32(dims: impl Into<Vec<usize>>, data: impl Into<Arc<[f32]>>) -> Result<Self, SpecError> {
        let (dims, data) = (dims.into(), data.into());
        element_count(&dims, data.len())?;
        Ok(Self { dims, data: Data::F32(data) })
    }

    /// An f16 tensor of shape `dims` from row-major data.
    ///
    /// # Errors
    /// [`SpecError::ElementCount`] if the data's length is not the product of `dims`.
    pub fn f16(dims: impl Into<Vec<usize>>, data: impl Into<Arc<[f16]>>) -> Result<Self, SpecError> {
        let (dims, data) = (dims.into(), data.into());
        element_count(&dims, data.len())?;
        Ok(Self { dims, data: Data::F16(data) })
    }

    /// A u32 tensor of shape `dims` from row-major data.
    ///
    /// # Errors
    /// [`SpecError::ElementCount`] if the data's length is not the product of `dims`.
    pub fn u32(dims: impl Into<Vec<usize>>, data: impl Into<Arc<[u32]>>) -> Result<Self, SpecError> {
        let (dims, data) = (dims.into(), data.into());
        element_count(&dims, data.len())?;
        Ok(Self { dims, data: Data::U32(data) })
    }

    /// A float tensor of the storage type `dtype` (f32 or f16), each element rounded once from f32.
    ///
    /// # Errors
    /// [`SpecError::ElementCount`] as above; [`SpecError::Dtype`] if `dtype` is not a float type.
    pub fn float(dtype: Dtype, dims: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, SpecError> {
        match dtype {
            Dtype::F32 => Self::f32(dims, data),
            Dtype::F16 => Self::f16(dims, data.into_iter().map(f16::from_f32).collect::<Vec<_>>()),
            Dtype::U32 => Err(SpecError::Dtype { operand: "tensor".into(), expected: Dtype::F32, given: Dtype::U32 }),
        }
    }

    /// Shape, outermost dimension first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        match self.data {
            Data::F32(_) => Dtype::F32,
            Data::F16(_) => Dtype::F16,
            Data::U32(_) => Dtype::U32,
        }
    }

    /// Count of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::F32(d) => d.len(),
            Data::F16(d) => d.len(),
            Data::U32(d) => d.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as f32 (f16 widened exactly, u32 rounded to nearest).
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(d) => d.to_vec(),
            Data::F16(d) => d.iter().map(|x| x.to_f32()).collect(),
            Data::U32(d) => d.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The elements as f64, exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(d) => d.iter().map(|&x| f64::from(x)).collect(),
            Data::F16(d) => d.iter().map(|x| f64::from(*x)).collect(),
            Data::U32(d) => d.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The elements of a u32 tensor; `None` for floats.
    pub fn as_u32(&self) -> Option<&[u32]> {
        if let Data::U32(d) = &self.data { Some(d) } else { None }
    }

    /// The elements of an f32 tensor; `None` for other types.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if let Data::F32(d) = &self.data { Some(d) } else { None }
    }

    /// The elements' memory, little-endian, as the device sees it.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::F32(d) => bytemuck::cast_slice(d),
            Data::F16(d) => bytemuck::cast_slice(d),
            Data::U32(d) => bytemuck::cast_slice(d),
        }
    }

    /// A tensor from the device's memory. `bytes` may be unaligned and longer than needed.
    ///
    /// # Errors
    /// [`SpecError::ElementCount`] if there are too few bytes.
    pub fn from_bytes(dtype: Dtype, dims: impl Into<Vec<usize>>, bytes: &[u8]) -> Result<Self, SpecError> {
        let dims = dims.into();
        let expected = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        let need = expected.saturating_mul(dtype.size());
        let Some(bytes) = bytes.get(..need) else {
            return Err(SpecError::ElementCount { dims, expected, given: bytes.len() / dtype.size() });
        };
        let data = match dtype {
            Dtype::F32 => Data::F32(shared(bytes)),
            Dtype::F16 => Data::F16(shared(bytes)),
            Dtype::U32 => Data::U32(shared(bytes)),
        };
        Ok(Self { dims, data })
    }
}

/// Tensors by operand name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a tensor and returns the collection.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.0.insert(name.into(), tensor);
        self
    }

    /// Adds a tensor if there is one.
    #[must_use]
    pub fn with_some(self, name: &str, tensor: Option<Tensor>) -> Self {
        match tensor {
            Some(t) => self.with(name, t),
            None => self,
        }
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Takes the tensor of that name out.
    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        self.0.remove(name)
    }

    /// Names and tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(n, t)| (n.as_str(), t))
    }
}

impl Index<&str> for Tensors {
    type Output = Tensor;
    /// The tensor of that name. Panics if there is none; [`Tensors::get`] does not.
    fn index(&self, name: &str) -> &Tensor {
        &self.0[name]
    }
}

impl FromIterator<(String, Tensor)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(iter: I) -> Self {
        // One after the other: a map's own `collect` sorts first, and would be compiled for each caller's iterator.
        let mut all = Self::new();
        for (name, tensor) in iter {
            all.insert(name, tensor);
        }
        all
    }
}
