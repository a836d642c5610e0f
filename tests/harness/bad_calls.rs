//! Bad calls, each refused by a named error and followed by a good one.

use gatefold_core::attention::Dims;
use gatefold_core::{Attention, Dtype, Op, SpecError, Tensor, Tensors};
use gatefold_shaders::Kernels;
use gatefold_wgpu::RunError;

use crate::compare::same_bits;
use crate::gpu;

/// Name of an error's variant and what it speaks of.
pub fn named(error: &SpecError) -> (&'static str, String) {
    match error {
        SpecError::Shape { operand, .. } => ("Shape", operand.clone()),
        SpecError::Dtype { operand, .. } => ("Dtype", operand.clone()),
        SpecError::Missing { operand, .. } => ("Missing", operand.clone()),
        SpecError::Unexpected { operand, .. } => ("Unexpected", operand.clone()),
        SpecError::Dim { dim, .. } => ("Dim", (*dim).into()),
        SpecError::Heads { .. } => ("Heads", "q_heads".into()),
        SpecError::Option { option, .. } => ("Option", (*option).into()),
        SpecError::Conflict { option, .. } => ("Conflict", (*option).into()),
        SpecError::Value { operand, index, .. } => ("Value", format!("{operand}[{index}]")),
        SpecError::TooManyElements { operand, .. } => ("TooManyElements", operand.clone()),
        SpecError::ElementCount { .. } => ("ElementCount", String::new()),
        other => panic!("{other}"),
    }
}

/// A tensor of this shape: integers 0, floats 0.25.
pub fn zeros(dtype: Dtype, dims: &[usize]) -> Tensor {
    let count = dims.iter().product();
    match dtype {
        Dtype::U32 => Tensor::u32(dims, vec![0; count]).unwrap(),
        float => Tensor::float(float, dims, vec![0.25; count]).unwrap(),
    }
}

/// Legal inputs of a spec: as the operands say.
pub fn legal<O: Op>(op: &O) -> Tensors {
    let inputs = op.operands().into_iter().filter(|o| o.role.is_given());
    inputs.map(|o| (o.name.to_string(), zeros(o.dtype, &o.dims))).collect()
}

/// Runs bad calls and after each a good one.
pub struct Trial {
    good: Attention,
    inputs: Tensors,
    bits: Tensors,
    /// Calls refused so far.
    pub refused: usize,
}

impl Default for Trial {
    /// A trial whose good call is [`base`].
    fn default() -> Self {
        let good = base();
        let inputs = legal(&good);
        let bits = gpu().run_tensors(&good, &inputs).unwrap();
        Self { good, inputs, bits, refused: 0 }
    }
}

impl Trial {
    /// The good call gives the same bits as at first.
    pub fn good_call(&mut self) {
        self.refused += 1;
        let again = gpu().run_tensors(&self.good, &self.inputs).unwrap();
        same_bits(&self.bits, &again).unwrap();
    }

    /// The call must be refused with this variant, speaking of this operand or option.
    pub fn refuse<O: Kernels>(&mut self, op: &O, inputs: &Tensors, variant: &str, about: &str) {
        let error = gpu().run_tensors(op, inputs).expect_err(&format!("{variant} {about}: was not refused"));
        let RunError::Spec(spec) = &error else { panic!("{variant} {about}: expected a SpecError, got {error}") };
        assert_eq!(named(spec), (variant_name(variant), about.to_string()), "{error}");
        self.good_call();
    }

    /// The spec alone must be refused.
    pub fn refuse_spec<O: Kernels>(&mut self, op: &O, variant: &str, about: &str) {
        self.refuse(op, &Tensors::new(), variant, about);
    }

    /// Legal inputs but for one.
    pub fn refuse_with<O: Kernels>(&mut self, op: &O, name: &str, tensor: Tensor, variant: &str, about: &str) {
        self.refuse(op, &legal(op).with(name, tensor), variant, about);
    }

    /// Legal inputs without one.
    pub fn refuse_without<O: Kernels>(&mut self, op: &O, name: &str) {
        let mut inputs = legal(op);
        inputs.take(name).unwrap();
        self.refuse(op, &inputs, "Missing", name);
    }
}

/// The same text with a static life, for comparing.
fn variant_name(name: &str) -> &'static str {
    const ALL: [&str; 11] = [
        "Shape",
        "Dtype",
        "Missing",
        "Unexpected",
        "Dim",
        "Heads",
        "Option",
        "Conflict",
        "Value",
        "TooManyElements",
        "ElementCount",
    ];
    ALL.into_iter().find(|v| *v == name).unwrap()
}

/// Small sizes, all different.
pub fn dims() -> Dims {
    Dims { q_heads: 4, kv_heads: 2, seq_q: 5, seq_kv: 7, val_dim: 6, ..Dims::new(2, 4, 1, 8) }
}

/// A softmax attention of these sizes, with `lse`.
pub fn base() -> Attention {
    Attention { lse: true, ..Attention::softmax(dims()) }
}
