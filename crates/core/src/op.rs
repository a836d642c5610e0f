//! The trait every op spec implements, and the operands it names.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Dtype, SpecError, Tensors};

/// Whether an op reads or writes an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Read only.
    Input,
    /// Written in full: every element of it, and nothing else.
    Output,
    /// Read and written in place: an input and an output of one name and one buffer. What the op does not change keeps its bits.
    Updated,
}

impl Role {
    /// Whether the caller gives its contents.
    pub fn is_given(self) -> bool {
        matches!(self, Self::Input | Self::Updated)
    }

    /// Whether the op gives its contents.
    pub fn is_made(self) -> bool {
        matches!(self, Self::Output | Self::Updated)
    }
}

/// A named tensor of an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// The name used in the shader, the reference, error messages and files.
    pub name: &'static str,
    /// Read or written.
    pub role: Role,
    /// Shape, outermost dimension first; contiguous, row-major.
    pub dims: Vec<usize>,
    /// Element type in memory.
    pub dtype: Dtype,
}

impl Operand {
    /// An operand that the op reads.
    pub fn input(name: &'static str, dims: impl Into<Vec<usize>>, dtype: Dtype) -> Self {
        Self { name, role: Role::Input, dims: dims.into(), dtype }
    }

    /// An operand that the op writes.
    pub fn output(name: &'static str, dims: impl Into<Vec<usize>>, dtype: Dtype) -> Self {
        Self { name, role: Role::Output, dims: dims.into(), dtype }
    }

    /// An operand that the op changes in place.
    pub fn updated(name: &'static str, dims: impl Into<Vec<usize>>, dtype: Dtype) -> Self {
        Self { name, role: Role::Updated, dims: dims.into(), dtype }
    }

    /// Count of elements. Does not overflow after [`Op::validate`].
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.dims.contains(&0)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * self.dtype.size() as u64
    }
}

/// What an op costs by its definition, whatever kernel runs it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Floating-point operations by the field's convention (see the op).
    pub flops: f64,
    /// Bytes that must move at least: every input read once, every output written once.
    pub bytes: f64,
}

/// An op: a value that says what is to be computed.
pub trait Op: Clone + fmt::Debug + PartialEq + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// Name of the op: `attention`, `rowwise_backward`.
    const NAME: &'static str;
    /// The inputs as a struct with a field per operand.
    type Inputs: Into<Tensors>;
    /// The outputs as a struct with a field per operand.
    type Outputs: From<Tensors>;

    /// Every tensor the op reads and writes, inputs first.
    fn operands(&self) -> Vec<Operand>;

    /// Checks the spec alone.
    ///
    /// # Errors
    /// A [`SpecError`] that names the size or option at fault.
    fn validate(&self) -> Result<(), SpecError>;

    /// FLOPs and bytes by definition.
    fn cost(&self) -> Cost;

    /// What is computed, without sizes: `sigmoid.causal_top_left.alibi.f16`.
    fn label(&self) -> String;

    /// The sizes, short: `B1 H8 T1024 D64`.
    fn size_label(&self) -> String;

    /// Checks the contents of integer inputs (lengths, offsets). Shapes and types have been checked before.
    ///
    /// # Errors
    /// [`SpecError::Value`] with the first element outside its range.
    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        let _ = inputs;
        Ok(())
    }

    /// Checks what only a run can know: whether a kernel met an index or a number that it had to pass over. A finding withholds the outputs.
    ///
    /// # Errors
    /// [`SpecError::BadIndex`] or [`SpecError::NonFiniteRouting`] with the first such element.
    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        let _ = outputs;
        Ok(())
    }

    /// Checks the spec and the inputs against it: presence, shape, type, integer contents.
    ///
    /// # Errors
    /// A [`SpecError`] that names the operand, what was expected and what came.
    fn check_inputs(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.validate()?;
        let operands: Vec<_> = self.operands().into_iter().filter(|o| o.role.is_given()).collect();
        for (name, _) in inputs.iter() {
            if !operands.iter().any(|o| o.name == name) {
                let expected = operands.iter().map(|o| o.name).collect::<Vec<_>>().join(", ");
                return Err(SpecError::Unexpected { operand: name.into(), op: Self::NAME, expected });
            }
        }
        for o in &operands {
            let Some(t) = inputs.get(o.name) else {
                return Err(SpecError::Missing { operand: o.name.into(), expected: o.dims.clone() });
            };
            if t.dims() != o.dims {
                let (expected, given) = (o.dims.clone(), t.dims().to_vec());
                return Err(SpecError::Shape { operand: o.name.into(), expected, given });
            }
            if t.dtype() != o.dtype {
                return Err(SpecError::Dtype { operand: o.name.into(), expected: o.dtype, given: t.dtype() });
            }
        }
        self.check_values(inputs)
    }
}

/// Largest count of elements of one operand: indices are u32 in kernels, with room for a tile beyond the end.
const MAX_ELEMENTS: u64 = (1 << 32) - (1 << 16);

/// Checks that every operand can be addressed.
pub(crate) fn check_addressable(operands: &[Operand]) -> Result<(), SpecError> {
    for o in operands {
        let count = o.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
        if o.dims.contains(&0) || count.is_some_and(|n| n <= MAX_ELEMENTS) {
            continue;
        }
        return Err(SpecError::TooManyElements { operand: o.name.into(), given: o.dims.clone(), limit: MAX_ELEMENTS });
    }
    Ok(())
}

/// Refuses a storage type that holds no floats.
pub(crate) fn check_float(dtype: Dtype) -> Result<(), SpecError> {
    match dtype {
        Dtype::F32 | Dtype::F16 => Ok(()),
        Dtype::U32 => Err(SpecError::Option { option: "dtype", expected: "f32 or f16".into(), given: "u32".into() }),
    }
}

/// Bytes of all operands together.
pub(crate) fn operand_bytes(operands: &[Operand]) -> f64 {
    operands.iter().map(|o| o.bytes() as f64).sum()
}
