//! Gates by the names of the papers and projects that they are known from.

use super::{ExpertGroups, GateActivation, GateWeight, GroupScore, Score, TopKGate};

/// Added to the sum of sigmoid weights by most projects: guards an exact 0, and is nothing beside any other sum.
const TINY: f32 = 1e-20;

/// A published gate.
#[derive(Debug, Clone, Copy)]
pub struct RouterPreset {
    /// Its name, and that of its function.
    pub name: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// The gate of so many tokens, experts and experts a token.
    pub gate: fn(usize, usize, usize) -> TopKGate,
}

macro_rules! presets {
    ($($name:ident, $source:literal;)*) => {
        /// Every preset.
        pub const ROUTER_PRESETS: &[RouterPreset] =
            &[$(RouterPreset { name: stringify!($name), source: $source, gate: TopKGate::$name },)*];
    };
}

presets! {
    switch, "GShard, Switch Transformer (arXiv 2101.03961); TensorRT-LLM Default";
    mixtral, "Mixtral (arXiv 2401.04088); TensorRT-LLM Renormalize";
    top_k_sparse_softmax, "Statistical Perspective of Top-K Sparse Softmax Gating (arXiv 2309.13850)";
    qwen_moe, "Qwen-MoE; TensorRT-LLM RenormalizeNaive";
    deepseek_v2, "DeepSeek-V2 (arXiv 2405.04434), group_limited_greedy";
    deepseek_v3, "DeepSeek-V3 (arXiv 2412.19437), noaux_tc";
    llama4, "Llama 4; TensorRT-LLM Llama4";
    minimax, "MiniMax-M2";
    sigmoid_renorm, "TensorRT-LLM SigmoidRenorm";
    sigmoid_topk, "TensorRT-LLM Sigmoid";
    top_k_raw, "TensorRT-LLM TopK";
    ggml_softmax_weight, "ggml SOFTMAX_WEIGHT";
    sqrt_softplus, "ggml, Megatron sqrtsoftplus";
    gpt_oss, "gpt-oss";
    dense_to_sparse, "EvoMoE; Is Temperature Sample Efficient for Softmax Gaussian Mixture of Experts? (arXiv 2401.13875)";
    activation_dense_to_sparse, "the same, activation dense-to-sparse";
    distance_router, "All Routes Lead to Collapse";
}

impl TopKGate {
    /// Softmax over all experts; weights are probabilities. GShard takes 2 experts, Switch 1.
    pub fn switch(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self::new(tokens, experts, top_k)
    }

    /// The best logits, and their softmax.
    pub fn mixtral(tokens: usize, experts: usize, top_k: usize) -> Self {
        let (score, weight) = (Score::Identity, GateWeight::SelectedSoftmax);
        Self { score, weight, ..Self::new(tokens, experts, top_k) }
    }

    /// The gate of the statistical analysis; Mixtral's.
    pub fn top_k_sparse_softmax(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self::mixtral(tokens, experts, top_k)
    }

    /// Softmax over all experts, the best divided by their sum: the values and gradients of [`mixtral`](Self::mixtral), with scores.
    pub fn qwen_moe(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { renormalize: Some(0.0), ..Self::new(tokens, experts, top_k) }
    }

    /// Softmax; the best 3 of 8 groups by their best expert; scale 16. For 160 experts, 6 a token.
    pub fn deepseek_v2(tokens: usize, experts: usize, top_k: usize) -> Self {
        let groups = Some(ExpertGroups { groups: 8, keep: 3, score: GroupScore::Max });
        Self { groups, scale: 16.0, ..Self::new(tokens, experts, top_k) }
    }

    /// Sigmoid with a bias for selection; the best 4 of 8 groups by their two best experts; renormalised, scale 2.5. For 256 experts, 8 a token.
    pub fn deepseek_v3(tokens: usize, experts: usize, top_k: usize) -> Self {
        let groups = Some(ExpertGroups { groups: 8, keep: 4, score: GroupScore::TopSum(2) });
        Self { groups, scale: 2.5, ..Self::minimax(tokens, experts, top_k) }
    }

    /// The best logit, and its sigmoid.
    pub fn llama4(tokens: usize, experts: usize, top_k: usize) -> Self {
        let (score, weight) = (Score::Identity, GateWeight::SelectedSigmoid);
        Self { score, weight, ..Self::new(tokens, experts, top_k) }
    }

    /// Sigmoid with a bias for selection, renormalised.
    pub fn minimax(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { selection_bias: true, ..Self::sigmoid_renorm(tokens, experts, top_k) }
    }

    /// Sigmoid, renormalised.
    pub fn sigmoid_renorm(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { renormalize: Some(TINY), ..Self::sigmoid_topk(tokens, experts, top_k) }
    }

    /// Sigmoid.
    pub fn sigmoid_topk(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { score: Score::Sigmoid, ..Self::new(tokens, experts, top_k) }
    }

    /// The best logits as they are.
    pub fn top_k_raw(tokens: usize, experts: usize, top_k: usize) -> Self {
        let (score, weight) = (Score::Identity, GateWeight::Logit);
        Self { score, weight, ..Self::new(tokens, experts, top_k) }
    }

    /// The best logits with a bias for selection, and the softmax of the logits without it.
    pub fn ggml_softmax_weight(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { selection_bias: true, ..Self::mixtral(tokens, experts, top_k) }
    }

    /// `√softplus` with a bias for selection, renormalised.
    pub fn sqrt_softplus(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { score: Score::SqrtSoftplus, ..Self::minimax(tokens, experts, top_k) }
    }

    /// Mixtral's with a bias that is part of the logits.
    pub fn gpt_oss(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { logit_bias: true, ..Self::mixtral(tokens, experts, top_k) }
    }

    /// `softmax(l/τ)`, dense in `scores`. As τ falls, `threshold` leaves fewer and fewer experts.
    pub fn dense_to_sparse(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { temperature: true, scores: true, ..Self::new(tokens, experts, top_k) }
    }

    /// `softmax((σ(l) + b)/τ)`, dense in `scores`.
    pub fn activation_dense_to_sparse(tokens: usize, experts: usize, top_k: usize) -> Self {
        let activation = GateActivation::Sigmoid;
        Self { activation, logit_bias: true, ..Self::dense_to_sparse(tokens, experts, top_k) }
    }

    /// The softmax of `x·w_e − ½‖w_e‖²`: `logits = x·w`, and the rest is `logit_bias`.
    pub fn distance_router(tokens: usize, experts: usize, top_k: usize) -> Self {
        Self { logit_bias: true, ..Self::new(tokens, experts, top_k) }
    }
}
