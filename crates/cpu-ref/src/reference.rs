//! The trait every op's reference implements.

use std::collections::BTreeMap;

use gatefold_core::{Dtype, Op, SpecError, Tensor, Tensors};

use crate::{Case, Real};

/// Operands by name: floats in the number type `R`, integers as they are. Row-major, shapes by the spec's operands.
#[derive(Debug, Clone)]
pub struct Values<R> {
    /// Float operands.
    pub floats: BTreeMap<String, Vec<R>>,
    /// Integer operands.
    pub ints: BTreeMap<String, Vec<u32>>,
    /// Whether a kernel may round attention weights to f16 before it multiplies values by them.
    pub f16_weights: bool,
}

impl<R> Default for Values<R> {
    fn default() -> Self {
        Self { floats: BTreeMap::new(), ints: BTreeMap::new(), f16_weights: false }
    }
}

impl<R: Real> Values<R> {
    /// The tensors' elements, exactly.
    pub fn of(tensors: &Tensors) -> Self {
        let mut all = Self::default();
        for (name, t) in tensors.iter() {
            match t.as_u32() {
                Some(ints) => drop(all.ints.insert(name.into(), ints.to_vec())),
                None => drop(all.floats.insert(name.into(), t.to_f64().into_iter().map(R::from_f64).collect())),
            }
        }
        all
    }

    /// The float operand of that name; empty if there is none.
    pub fn float(&self, name: &str) -> &[R] {
        self.floats.get(name).map_or(&[], Vec::as_slice)
    }

    /// The integer operand of that name; empty if there is none.
    pub fn int(&self, name: &str) -> &[u32] {
        self.ints.get(name).map_or(&[], Vec::as_slice)
    }

    /// Output operands of `op` rounded to their storage type.
    ///
    /// # Panics
    /// If an output of the spec is missing or has another length.
    pub fn round<O: Op>(&self, op: &O) -> Tensors {
        let outputs = op.operands().into_iter().filter(|o| o.role.is_made());
        outputs.map(|o| (o.name.to_string(), stored(o.dtype, o.dims, self.float(o.name)))).collect()
    }
}

/// A tensor of `values`, each rounded once to `dtype`.
fn stored<R: Real>(dtype: Dtype, dims: Vec<usize>, values: &[R]) -> Tensor {
    let tensor = match dtype {
        Dtype::F16 => Tensor::f16(dims, values.iter().map(|x| half::f16::from_f64(x.value())).collect::<Vec<_>>()),
        Dtype::U32 => {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "words are whole numbers")]
            let words: Vec<u32> = values.iter().map(|x| x.value() as u32).collect();
            Tensor::u32(dims, words)
        }
        Dtype::F32 => {
            #[allow(clippy::cast_possible_truncation, reason = "rounding to storage is meant")]
            let rounded: Vec<f32> = values.iter().map(|x| x.value() as f32).collect();
            Tensor::f32(dims, rounded)
        }
    };
    tensor.expect("the reference returns outputs of the spec's shape")
}

/// An op with a definition that can be evaluated.
pub trait Reference: Op {
    /// The outputs by the definition: loops over the number type, never tiled, never online. `inputs` have been checked.
    /// Returns every output operand of the spec.
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R>;

    /// The case that `seed` stands for: the same on every machine. The first [`Reference::PLANNED`] seeds walk the edges; all later ones
    /// are drawn at random.
    fn case(seed: u64) -> Case<Self>;

    /// Whether there is a definition to evaluate: a custom slot of a deserialised spec has none.
    ///
    /// # Errors
    /// [`SpecError::NoReference`] with the slot.
    fn check_reference(&self) -> Result<(), SpecError> {
        Ok(())
    }

    /// Whether the outputs have terms that jump where a score passes a number. A score within rounding of it may be on either side, so the bound of
    /// such a term is the term, and what a kernel gets may be as far off as its bound.
    fn jumps(&self) -> bool {
        false
    }

    /// How many of the first seeds are planned edge cases.
    const PLANNED: u64;

    /// Inputs for the gradient op of this op, or whatever else has to be derived from a case's raw draw: the given tensors completed by
    /// those that a caller would get from a forward pass (`o`, `lse`, `y`). The default adds nothing.
    fn complete(&self, inputs: Tensors) -> Tensors {
        inputs
    }
}

/// The outputs of `op` by its definition in f64, each element rounded once to its storage type.
///
/// # Panics
/// If [`Reference::check_reference`] refuses the op.
pub fn outputs<O: Reference>(op: &O, inputs: &Tensors) -> Tensors {
    op.eval(&Values::<f64>::of(inputs)).round(op)
}
