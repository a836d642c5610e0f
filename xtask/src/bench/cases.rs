//! What is timed: ops at shapes, each with the smaller twins that its kernels are checked on.

use anyhow::Result;
use gatefold_core::attention::{Causal, Dims};
use gatefold_core::{Attention, AttentionBackward, Dtype, Op, RowFunction, Rowwise, RowwiseBackward, Tensor, Tensors};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Kernels, Plan};
use gatefold_wgpu::Gpu;

use super::sampled;

/// What a report says about a case beside its labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    pub(super) function: String,
    pub(super) backward: bool,
    pub(super) causal: bool,
    pub(super) dtype: Dtype,
    pub(super) length: usize,
    pub(super) head_dim: usize,
}

/// An op that the bench can time.
pub(super) trait Timed: Reference + Kernels {
    /// For the report.
    fn facts(&self) -> Facts;

    /// Smaller specs that may run the same kernels, smallest first.
    fn twins(&self) -> Vec<Self>;

    /// Completes drawn inputs by what a forward pass on the adapter gives.
    fn complete_on(&self, gpu: &Gpu, inputs: Tensors) -> Result<Tensors> {
        let _ = gpu;
        Ok(inputs)
    }

    /// Largest error ÷ bound over some rows of the outputs, if rows can be taken out of this op.
    fn sampled(&self, plan: &Plan, inputs: &Tensors, outputs: &Tensors) -> Result<Option<f64>> {
        let _ = (plan, inputs, outputs);
        Ok(None)
    }
}

/// Sequence lengths of twins: around every tile size, the first that runs the same kernels is taken.
const TWINS: [usize; 6] = [77, 128, 160, 256, 320, 512];

impl Timed for Attention {
    fn facts(&self) -> Facts {
        Facts {
            function: self.weight.name().into(),
            backward: false,
            causal: self.causal != Causal::None,
            dtype: self.dtype,
            length: self.dims.seq_kv,
            head_dim: self.dims.head_dim,
        }
    }

    fn twins(&self) -> Vec<Self> {
        let small = |seq| Self { dims: Dims::new(1, 1, seq, self.dims.head_dim), ..self.clone() };
        TWINS.iter().map(|&seq| small(seq)).collect()
    }

    fn sampled(&self, plan: &Plan, inputs: &Tensors, outputs: &Tensors) -> Result<Option<f64>> {
        sampled::forward(self, inputs, outputs, plan.rounds_weights).map(Some)
    }
}

impl Timed for AttentionBackward {
    fn facts(&self) -> Facts {
        Facts { backward: true, ..self.forward.facts() }
    }

    fn twins(&self) -> Vec<Self> {
        self.forward.twins().into_iter().map(|forward| Self { forward, ..self.clone() }).collect()
    }

    fn complete_on(&self, gpu: &Gpu, mut inputs: Tensors) -> Result<Tensors> {
        if !self.forward.weight.couples_row() {
            return Ok(inputs);
        }
        let forward = Attention { lse: true, ..self.forward.clone() };
        let given =
            forward.operands().into_iter().filter_map(|o| Some((o.name.to_string(), inputs.get(o.name)?.clone())));
        // `o` and `lse` are outputs here: what was drawn for them is not among the forward inputs.
        let given: Tensors = given.filter(|(name, _)| name != "o" && name != "lse").collect();
        let mut made = gpu.run_tensors(&forward, &given)?;
        for name in ["o", "lse"] {
            inputs.insert(name, made.take(name).unwrap_or_default());
        }
        Ok(inputs)
    }

    fn sampled(&self, _: &Plan, inputs: &Tensors, outputs: &Tensors) -> Result<Option<f64>> {
        sampled::backward(self, inputs, outputs).map(Some)
    }
}

impl Timed for Rowwise {
    fn facts(&self) -> Facts {
        let function = self.function.name().into();
        Facts { function, backward: false, causal: false, dtype: self.dtype, length: self.cols, head_dim: 0 }
    }

    fn twins(&self) -> Vec<Self> {
        [1, 3, 64].iter().map(|&rows| Self { rows, ..self.clone() }).collect()
    }
}

impl Timed for RowwiseBackward {
    fn facts(&self) -> Facts {
        Facts { backward: true, ..self.forward.facts() }
    }

    fn twins(&self) -> Vec<Self> {
        self.forward.twins().into_iter().map(|forward| Self { forward }).collect()
    }

    fn complete_on(&self, gpu: &Gpu, mut inputs: Tensors) -> Result<Tensors> {
        // The gradient of softmax needs an output of softmax, not any numbers.
        if let Some(drawn) = inputs.take("y") {
            let mut made = gpu.run_tensors(&self.forward, &Tensors::new().with("x", drawn))?;
            inputs.insert("y", made.take("y").unwrap_or_default());
        }
        Ok(inputs)
    }
}

/// A generator of the normal distribution, the same on every machine.
struct Drawn(u64);

impl Drawn {
    /// xorshift64*: uniform in [0, 1).
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = u16::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 48).unwrap_or(0);
        f32::from(high) / 65_536.0
    }

    /// Nearly normal: the sum of four uniforms, mean 0, variance 1.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.uniform()).sum();
        (sum - 2.0) * 3.0f32.sqrt()
    }
}

/// Drawn float inputs of an op. The ops timed here have no integer inputs.
pub(super) fn draw<O: Op>(op: &O) -> Result<Tensors> {
    let mut drawn = Drawn(0x9E37_79B9_7F4A_7C15);
    let mut inputs = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == gatefold_core::Role::Input) {
        let values = (0..o.len()).map(|_| drawn.normal()).collect();
        inputs.insert(o.name, Tensor::float(o.dtype, o.dims, values)?);
    }
    Ok(inputs)
}

/// A case of any op.
#[derive(Debug, Clone)]
pub(super) enum Case {
    Attention(Attention),
    AttentionBackward(AttentionBackward),
    Rowwise(Rowwise),
    RowwiseBackward(RowwiseBackward),
}

/// Calls `$call` with the op that a case holds.
macro_rules! with_op {
    ($case:expr, $op:ident => $call:expr) => {
        match $case {
            $crate::bench::cases::Case::Attention($op) => $call,
            $crate::bench::cases::Case::AttentionBackward($op) => $call,
            $crate::bench::cases::Case::Rowwise($op) => $call,
            $crate::bench::cases::Case::RowwiseBackward($op) => $call,
        }
    };
}
pub(super) use with_op;

fn name<O: Op>(_: &O) -> &'static str {
    O::NAME
}

impl Case {
    /// Op name.
    pub(super) fn op(&self) -> &'static str {
        with_op!(self, op => name(op))
    }

    /// Label and sizes.
    pub(super) fn title(&self) -> String {
        with_op!(self, op => format!("{} {} [{}]", self.op(), op.label(), op.size_label()))
    }

    /// FLOPs by definition.
    pub(super) fn flops(&self) -> f64 {
        with_op!(self, op => op.cost().flops)
    }
}

/// How much is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    /// Every head dimension and length.
    pub(super) full: bool,
    /// A software driver: smaller shapes.
    pub(super) cpu: bool,
    /// Whether f16 may be stored.
    pub(super) f16: bool,
}

/// Attention at one shape: softmax and sigmoid side by side, so that both run in the same minute.
fn attention(cases: &mut Vec<Case>, dims: Dims, causal: Causal, dtype: Dtype) {
    for make in [Attention::softmax, Attention::sigmoid] {
        cases.push(Case::Attention(Attention { causal, dtype, ..make(dims) }));
    }
    for make in [Attention::softmax, Attention::sigmoid] {
        let forward = Attention { causal, dtype, ..make(dims) };
        cases.push(Case::AttentionBackward(AttentionBackward::new(forward)));
    }
}

/// Row-wise softmax: as many rows as make up `elements`.
fn rowwise(cases: &mut Vec<Case>, cols: usize, elements: usize, dtype: Dtype) {
    let forward = Rowwise { dtype, ..Rowwise::new(RowFunction::Softmax, (elements / cols).max(1), cols) };
    cases.push(Case::Rowwise(forward.clone()));
    cases.push(Case::RowwiseBackward(RowwiseBackward { forward }));
}

/// Everything that is timed, what matters most first: on a slow machine the end may be left out.
pub(super) fn cases(scope: Scope) -> Vec<Case> {
    let mut all = Vec::new();
    let lengths: &[usize] = match (scope.cpu, scope.full) {
        (true, false) => &[256, 512, 1024, 2048],
        (true, true) => &[256, 512, 1024, 2048, 4096],
        (false, false) => &[256, 512, 1024, 2048, 4096],
        (false, true) => &[256, 512, 1024, 2048, 4096, 8192, 16384],
    };
    let dtypes: &[Dtype] = if scope.f16 { &[Dtype::F32, Dtype::F16] } else { &[Dtype::F32] };
    let head_dims: &[usize] = if scope.full { &[64, 128] } else { &[64] };
    let elements = if scope.cpu { 4 << 20 } else { 32 << 20 };
    for &dtype in dtypes {
        // On a software driver f16 costs what f32 costs: one length says so.
        let few = scope.cpu && !scope.full && dtype == Dtype::F16;
        for cols in [1 << 10, 1 << 14, 1 << 17, 1 << 20] {
            if !few || cols == 1 << 14 {
                rowwise(&mut all, cols, elements, dtype);
            }
        }
        for &head_dim in head_dims {
            for &seq in lengths.iter().filter(|&&seq| !few || seq == 512) {
                for causal in [Causal::None, Causal::TopLeft] {
                    attention(&mut all, Dims::new(1, 8, seq, head_dim), causal, dtype);
                }
            }
        }
    }
    all
}
