//! What is timed: ops at shapes, each with the smaller twins that its kernels are checked on.

use anyhow::Result;
use gatefold_core::attention::{Causal, Dims, NanPolicy, PRESETS};
use gatefold_core::routing::{Moe, MoeCombine, MoeDispatch, RoutingPlan, TopKGate};
use gatefold_core::{Attention, AttentionBackward, Dtype, Gemm, Op, RowFunction, Rowwise, RowwiseBackward, Tensors};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Kernels, Plan};
use gatefold_tests::sampled;
use gatefold_wgpu::Gpu;

use super::routing::{self, Loaded};

/// What a report says about a case beside its labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    pub(super) function: String,
    pub(super) backward: bool,
    pub(super) causal: bool,
    pub(super) dtype: Dtype,
    pub(super) length: usize,
    pub(super) head_dim: usize,
    /// Whether bytes bind it rather than multiply-adds: its rate is then in bytes, and its ceiling the copy.
    pub(super) by_bytes: bool,
}

/// What the bench can time: an op, and what its inputs look like.
pub(super) trait Timed: Clone {
    /// Its op.
    type Op: Reference + Kernels;

    /// The op.
    fn op(&self) -> &Self::Op;

    /// For the report.
    fn facts(&self) -> Facts;

    /// What is computed, and on what where that matters.
    fn label(&self) -> String {
        self.op().label()
    }

    /// Smaller ones that may run the same kernels, smallest first.
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

/// Whether an attention is a step of decoding: bound by the keys and values it reads, like a row-wise op.
fn decodes(a: &Attention) -> bool {
    a.dims.seq_q == 1 && a.dims.seq_kv > 1
}

/// The name of a preset, if that is what is timed; those that are plain softmax or sigmoid at the shape have none.
fn preset_name(a: &Attention) -> Option<&'static str> {
    let plain = [Attention::softmax(a.dims), Attention::sigmoid(a.dims)];
    let is_plain = plain.iter().any(|p| *a == Attention { causal: a.causal, dtype: a.dtype, ..p.clone() });
    if is_plain { None } else { PRESETS.iter().find(|p| (p.build)(a.dims) == *a).map(|p| p.name) }
}

impl Timed for Attention {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        let (weight, decodes) = (preset_name(self).unwrap_or(self.weight.name()), decodes(self));
        Facts {
            function: if decodes { format!("{weight} decode") } else { weight.into() },
            backward: false,
            causal: self.causal != Causal::None,
            dtype: self.dtype,
            length: self.dims.seq_kv,
            head_dim: self.dims.head_dim,
            by_bytes: decodes,
        }
    }

    fn twins(&self) -> Vec<Self> {
        let small = |seq| {
            let one = Dims::new(1, 1, seq, self.dims.head_dim);
            let few = Dims { q_heads: self.dims.group(), seq_q: self.dims.seq_q, ..one };
            Self { dims: if decodes(self) { few } else { one }, ..self.clone() }
        };
        TWINS.iter().map(|&seq| small(seq)).collect()
    }

    fn sampled(&self, plan: &Plan, inputs: &Tensors, outputs: &Tensors) -> Result<Option<f64>> {
        sampled::forward(self, inputs, outputs, plan.rounds_weights).map(Some)
    }
}

impl Timed for AttentionBackward {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        Facts { backward: true, ..self.forward.facts() }
    }

    fn twins(&self) -> Vec<Self> {
        self.forward.twins().into_iter().map(|forward| Self { forward, ..self.clone() }).collect()
    }

    fn complete_on(&self, gpu: &Gpu, mut inputs: Tensors) -> Result<Tensors> {
        let wanted = self.forward.kept();
        if wanted.is_empty() {
            return Ok(inputs);
        }
        let forward = self.forward.clone().saving(true);
        let given =
            forward.operands().into_iter().filter_map(|o| Some((o.name.to_string(), inputs.get(o.name)?.clone())));
        // They are outputs here: what was drawn for them is not among the forward inputs.
        let given: Tensors = given.filter(|(name, _)| !wanted.contains(&name.as_str())).collect();
        let mut made = gpu.run_tensors(&forward, &given)?;
        for name in wanted {
            inputs.insert(name, made.take(name).unwrap_or_default());
        }
        Ok(inputs)
    }

    fn sampled(&self, _: &Plan, inputs: &Tensors, outputs: &Tensors) -> Result<Option<f64>> {
        sampled::backward(self, inputs, outputs).map(Some)
    }
}

impl Timed for Rowwise {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        let function = self.function.name().into();
        Facts {
            function,
            backward: false,
            causal: false,
            dtype: self.dtype,
            length: self.cols,
            head_dim: 0,
            by_bytes: true,
        }
    }

    fn twins(&self) -> Vec<Self> {
        [1, 3, 64].iter().map(|&rows| Self { rows, ..self.clone() }).collect()
    }
}

impl Timed for RowwiseBackward {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

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

impl Timed for Gemm {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        let function = "product".into();
        Facts {
            function,
            backward: false,
            causal: false,
            dtype: self.dtype,
            length: self.m,
            head_dim: self.k,
            by_bytes: false,
        }
    }

    fn twins(&self) -> Vec<Self> {
        // The second has enough tiles for the largest ones of a GPU.
        let small = |batch, m| Self { batch, m, n: 132, k: 68, shared_b: false, ..self.clone() };
        vec![small(1, 100), small(16, 260)]
    }

    fn sampled(&self, _: &Plan, inputs: &Tensors, outputs: &Tensors) -> Result<Option<f64>> {
        sampled::product(self, inputs, outputs).map(Some)
    }
}

/// A case of any op.
#[derive(Debug, Clone)]
pub(super) enum Case {
    Attention(Attention),
    AttentionBackward(AttentionBackward),
    Rowwise(Rowwise),
    RowwiseBackward(RowwiseBackward),
    Gemm(Gemm),
    TopKGate(TopKGate),
    RoutingPlan(RoutingPlan),
    MoeDispatch(MoeDispatch),
    MoeCombine(MoeCombine),
    GroupedGemm(Loaded),
    Moe(Moe),
}

/// Calls `$call` with the op that a case holds.
macro_rules! with_op {
    ($case:expr, $op:ident => $call:expr) => {
        match $case {
            $crate::bench::cases::Case::Attention($op) => $call,
            $crate::bench::cases::Case::AttentionBackward($op) => $call,
            $crate::bench::cases::Case::Rowwise($op) => $call,
            $crate::bench::cases::Case::RowwiseBackward($op) => $call,
            $crate::bench::cases::Case::Gemm($op) => $call,
            $crate::bench::cases::Case::TopKGate($op) => $call,
            $crate::bench::cases::Case::RoutingPlan($op) => $call,
            $crate::bench::cases::Case::MoeDispatch($op) => $call,
            $crate::bench::cases::Case::MoeCombine($op) => $call,
            $crate::bench::cases::Case::GroupedGemm($op) => $call,
            $crate::bench::cases::Case::Moe($op) => $call,
        }
    };
}
pub(super) use with_op;

fn name<T: Timed>(_: &T) -> &'static str {
    T::Op::NAME
}

impl Case {
    /// Op name.
    pub(super) fn op(&self) -> &'static str {
        with_op!(self, op => name(op))
    }

    /// Label and sizes.
    pub(super) fn title(&self) -> String {
        with_op!(self, op => format!("{} {} [{}]", self.op(), Timed::label(op), op.op().size_label()))
    }

    /// FLOPs by definition.
    pub(super) fn flops(&self) -> f64 {
        with_op!(self, op => op.op().cost().flops)
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
    /// Whether the papers' presets are timed beside plain softmax.
    pub(super) presets: bool,
}

/// Every preset at one shape, forward and backward, of which rows can be checked each by itself. Of padded sequences nothing but the lengths would
/// be new.
fn presets(cases: &mut Vec<Case>, dims: Dims) {
    let ops = PRESETS.iter().map(|p| (p.build)(dims)).filter(sampled::is_by_row);
    let ops: Vec<_> = ops.filter(|a| preset_name(a).is_some()).collect();
    cases.extend(ops.iter().cloned().map(Case::Attention));
    cases.extend(ops.into_iter().map(|a| Case::AttentionBackward(AttentionBackward::new(a))));
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

/// A step of decoding: 32 query heads on 8, a query each.
fn decode(cases: &mut Vec<Case>, seq_kv: usize, dtype: Dtype) {
    let dims = Dims { q_heads: 32, seq_q: 1, ..Dims::new(1, 8, seq_kv, 128) };
    for make in [Attention::softmax, Attention::sigmoid] {
        // Every key and value is read once: no second look for what is not finite.
        cases.push(Case::Attention(Attention { nan_policy: NanPolicy::Trust, dtype, ..make(dims) }));
    }
}

/// Row-wise softmax: as many rows as make up `elements`.
fn rowwise(cases: &mut Vec<Case>, cols: usize, elements: usize, dtype: Dtype) {
    let forward = Rowwise { dtype, ..Rowwise::new(RowFunction::Softmax, (elements / cols).max(1), cols) };
    cases.push(Case::Rowwise(forward.clone()));
    cases.push(Case::RowwiseBackward(RowwiseBackward { forward }));
}

/// Matrix products: cubes in the three layouts that training has, and a linear layer.
fn products(cases: &mut Vec<Case>, sizes: &[usize], dtype: Dtype) {
    for &size in sizes {
        let cube = Gemm { dtype, ..Gemm::new(size, size, size) };
        cases.push(Case::Gemm(cube.clone()));
        if size == 1024 && dtype == Dtype::F32 {
            cases.push(Case::Gemm(Gemm { transpose_b: true, ..cube.clone() }));
            cases.push(Case::Gemm(Gemm { transpose_a: true, ..cube }));
        }
    }
    cases.push(Case::Gemm(Gemm { dtype, ..Gemm::linear(1, 1024, 768, 3072) }));
}

/// Everything that is timed, what matters most first: on a slow machine the end may be left out.
pub(super) fn cases(scope: Scope) -> Vec<Case> {
    let mut all = Vec::new();
    if scope.presets {
        let dims = Dims::new(1, 8, 1024, 64);
        for causal in [Causal::None, Causal::TopLeft, Causal::BottomRight] {
            let forward = Attention { causal, ..Attention::softmax(dims) };
            all.push(Case::Attention(forward.clone()));
            all.push(Case::AttentionBackward(AttentionBackward::new(forward)));
        }
        presets(&mut all, dims);
    }
    let lengths: &[usize] = match (scope.cpu, scope.full) {
        (true, false) => &[256, 512, 1024, 2048],
        (true, true) => &[256, 512, 1024, 2048, 4096],
        (false, false) => &[256, 512, 1024, 2048, 4096],
        (false, true) => &[256, 512, 1024, 2048, 4096, 8192, 16384],
    };
    let dtypes: &[Dtype] = if scope.f16 { &[Dtype::F32, Dtype::F16] } else { &[Dtype::F32] };
    let head_dims: &[usize] = if scope.full { &[64, 128] } else { &[64] };
    let cubes: &[usize] = if scope.cpu && !scope.full { &[512, 1024] } else { &[512, 1024, 2048, 4096] };
    let elements = if scope.cpu { 4 << 20 } else { 32 << 20 };
    for &dtype in dtypes {
        // On a software driver f16 costs what f32 costs: one length says so.
        let few = scope.cpu && !scope.full && dtype == Dtype::F16;
        for cols in [1 << 10, 1 << 14, 1 << 17, 1 << 20] {
            if !few || cols == 1 << 14 {
                rowwise(&mut all, cols, elements, dtype);
            }
        }
        products(&mut all, if few { &[1024] } else { cubes }, dtype);
        if dtype == Dtype::F32 {
            routing::cases(&mut all);
        }
        decode(&mut all, 4096, dtype);
        if !scope.cpu || scope.full {
            decode(&mut all, 32_768, dtype);
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
