//! Routing as it is timed: gates, the way of a row to its expert and back, the experts' products under even and uneven loads, whole layers.

use anyhow::Result;
use gatefold_core::routing::{
    ExpertFunction, GroupedGemm, Moe, MoeCombine, MoeDispatch, Router, RoutingPlan, TopKGate,
};
use gatefold_core::{Dtype, Gemm, Op, Tensor, Tensors};
use gatefold_wgpu::Gpu;

use super::cases::{Case, Facts, Timed};

/// Tokens, experts of a token, and width of a row of the rows that are moved.
pub(super) const MOVED: [usize; 3] = [4096, 2, 1024];
/// Experts that they go to.
const EXPERTS: usize = 8;

/// A report's facts of an op of routing: what it is called there, its tokens and experts.
fn facts(function: &str, tokens: usize, experts: usize, by_bytes: bool) -> Facts {
    let (function, backward, causal, dtype) = (function.to_string(), false, false, Dtype::F32);
    Facts { function, backward, causal, dtype, length: tokens, head_dim: experts, by_bytes }
}

/// Experts of a token, all different and evenly spread over the experts.
fn indices(tokens: usize, top_k: usize, experts: usize) -> Result<Tensor> {
    let expert = |at: usize| (at / top_k * 5 + at / (top_k * experts) + at % top_k) % experts;
    let all: Result<Vec<u32>, _> = (0..tokens * top_k).map(|at| u32::try_from(expert(at))).collect();
    Ok(Tensor::u32([tokens, top_k], all?)?)
}

/// What a plan makes of [`indices`] on the adapter.
fn planned(gpu: &Gpu, tokens: usize, top_k: usize) -> Result<Tensors> {
    let inputs = Tensors::new().with("indices", indices(tokens, top_k, EXPERTS)?);
    Ok(gpu.run_tensors(&RoutingPlan::new(tokens, top_k, EXPERTS), &inputs)?)
}

impl Timed for TopKGate {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        facts("gate", self.tokens, self.experts, true)
    }

    fn twins(&self) -> Vec<Self> {
        [7, 100].iter().map(|&tokens| Self { tokens, ..self.clone() }).collect()
    }
}

impl Timed for RoutingPlan {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        facts("plan", self.tokens, self.experts, true)
    }

    fn twins(&self) -> Vec<Self> {
        [100, 2048].iter().map(|&tokens| Self { tokens, ..self.clone() }).collect()
    }

    fn complete_on(&self, _: &Gpu, inputs: Tensors) -> Result<Tensors> {
        Ok(inputs.with("indices", indices(self.tokens, self.top_k, self.experts)?))
    }
}

impl Timed for MoeDispatch {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        facts("dispatch", self.tokens, EXPERTS, true)
    }

    fn twins(&self) -> Vec<Self> {
        [33, 200].iter().map(|&tokens| Self { tokens, rows: tokens * self.top_k, ..self.clone() }).collect()
    }

    fn complete_on(&self, gpu: &Gpu, inputs: Tensors) -> Result<Tensors> {
        Ok(inputs.with("permutation", planned(gpu, self.tokens, self.top_k)?["permutation"].clone()))
    }
}

impl Timed for MoeCombine {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        facts("combine", self.tokens, EXPERTS, true)
    }

    fn twins(&self) -> Vec<Self> {
        [33, 200].iter().map(|&tokens| Self { tokens, rows: tokens * self.top_k, ..self.clone() }).collect()
    }

    fn complete_on(&self, gpu: &Gpu, inputs: Tensors) -> Result<Tensors> {
        Ok(inputs.with("inverse", planned(gpu, self.tokens, self.top_k)?["inverse"].clone()))
    }
}

/// The experts' products under a load.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    op: GroupedGemm,
    /// Whether expert `e` has a share of the rows like `1/(e + 1)`, not all the same.
    zipf: bool,
}

impl Timed for Loaded {
    type Op = GroupedGemm;

    fn op(&self) -> &GroupedGemm {
        &self.op
    }

    fn facts(&self) -> Facts {
        facts(if self.zipf { "zipf" } else { "balanced" }, self.op.rows, self.op.experts, false)
    }

    fn label(&self) -> String {
        format!("{}, {} load", self.op.label(), if self.zipf { "Zipf's" } else { "even" })
    }

    fn twins(&self) -> Vec<Self> {
        let small = |rows| Self { op: GroupedGemm { rows, n: 132, k: 68, ..self.op.clone() }, ..self.clone() };
        [500, 2050].map(small).to_vec()
    }

    fn complete_on(&self, _: &Gpu, inputs: Tensors) -> Result<Tensors> {
        let GroupedGemm { experts, rows, .. } = self.op;
        let share = |e: usize| if self.zipf { 1.0 / (e + 1) as f64 } else { 1.0 };
        let total: f64 = (0..experts).map(share).sum();
        let mut offsets = vec![0u32];
        let mut before = 0.0;
        for e in 0..experts {
            before += share(e);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a row's number")]
            offsets.push((before / total * rows as f64).round() as u32);
        }
        Ok(inputs.with("offsets", Tensor::u32([experts + 1], offsets)?))
    }
}

impl Timed for Moe {
    type Op = Self;

    fn op(&self) -> &Self {
        self
    }

    fn facts(&self) -> Facts {
        facts("moe", self.router.gate.tokens, self.router.gate.experts, self.router.gate.tokens == 1)
    }

    fn twins(&self) -> Vec<Self> {
        let small = |tokens: usize| {
            let mut op = self.clone();
            (op.router.hidden, op.width) = (64, 48);
            op.router.gate.tokens = tokens;
            op
        };
        if self.router.gate.tokens == 1 { vec![small(1)] } else { [60, 300].map(small).to_vec() }
    }
}

/// Everything of routing that is timed.
pub(super) fn cases(all: &mut Vec<Case>) {
    for tokens in [1, 512, 8192] {
        for experts in [8, 64, 256] {
            all.extend([2, 8].map(|k| Case::TopKGate(TopKGate::mixtral(tokens, experts, k))));
        }
    }
    let [tokens, top_k, hidden] = MOVED;
    all.push(Case::RoutingPlan(RoutingPlan::new(tokens, top_k, EXPERTS)));
    all.push(Case::MoeDispatch(MoeDispatch::new(tokens, top_k, hidden, tokens * top_k)));
    all.push(Case::MoeCombine(MoeCombine::new(tokens, top_k, hidden, tokens * top_k)));
    // the dense product of the same FLOPs beside them, in the same minute
    all.push(Case::Gemm(Gemm { transpose_b: false, ..Gemm::new(4096, 512, 512) }));
    let op = GroupedGemm::new(EXPERTS, 4096, 512, 512);
    all.extend([false, true].map(|zipf| Case::GroupedGemm(Loaded { op: op.clone(), zipf })));
    for tokens in [1, 512] {
        let router = Router::new(TopKGate::mixtral(tokens, EXPERTS, top_k), 512);
        all.push(Case::Moe(Moe::new(router, 512, ExpertFunction::SwiGlu)));
    }
}
