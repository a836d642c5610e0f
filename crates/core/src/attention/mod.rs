//! Attention with a choice of weights and normalisers: one definition, one spec.
//!
//! ```text
//! q̂ k̂ v̂ = prologue(q, k, v)
//! s_ij = scale · q̂_i·k̂_j;   s ← softcap·tanh(s / softcap);   s ← score_mod(s, batch, h, i, j)
//! z_ij = s_ij + bias + head_bias_h + key_bias_j + score_bias_ij − alibi_slope_h·|i + off − j| + relative_bias_h(j − i − off)
//! a_ij = weight(z_ij) where key j is visible to query i, else 0;   a ← reweight(a)
//! P_ij = a_ij / n_i,   n_i = normalizer(a_i1, a_i2, …)
//! o_i  = epilogue(Σ_j dropout(P_ij) v̂_j),   or Σ_j P_ij·(1 − r_i·(k̂_j − Σ_l P_il k̂_l)) v̂_j   (local_linear)
//! ```
//!
//! Sources: Dao, *FlashAttention-2* (arXiv 2307.08691); Ramapuram et al., *Theory, Analysis, and Best Practices for Sigmoid
//! Self-Attention* (arXiv 2409.04431, FlashSigmoid); *Better Models, Faster Training: Sigmoid Attention for single-cell Foundation
//! Models* (arXiv 2604.27124, TritonSigmoid).

mod ablations;
mod backward;
mod bias;
mod cache;
mod custom;
mod diagnose;
mod diagnostics;
mod dims;
mod dropout;
mod epilogue;
mod feature_map;
mod injection;
mod local_linear;
mod mask;
mod merge;
mod nan_policy;
mod normalizer;
mod presets;
mod prologue;
mod reweight;
mod rotary;
mod sink;
mod storage;
mod tensors;
mod values;
mod weight;

use serde::{Deserialize, Serialize};

pub use ablations::cumulative_log_norm;
pub use backward::{AttentionBackward, BackwardInputs, BackwardOutputs};
pub use bias::{Bias, RelativeBias, ScoreBias};
pub use cache::{CacheAppend, CacheInputs, CacheLayout, CacheOutputs};
pub use custom::{Custom, CustomWeight, MaskFn, MaskMod, ScoreFn, ScoreMod, Twin, WeightFn};
pub use diagnose::{Diagnosis, HeadDiagnosis, SINK_THRESHOLD};
pub use diagnostics::{AttentionStatistics, StatisticsInputs, StatisticsOutputs};
pub use dims::{Dims, MAX_DIM};
pub use dropout::Dropout;
pub use epilogue::{Epilogue, Gate};
pub use feature_map::FeatureMap;
pub use injection::Injection;
pub use mask::{BlockMap, Causal, Sequences, Window};
pub use merge::{AttentionMerge, MAX_PARTS, MergeInputs, MergeOutputs};
pub use nan_policy::NanPolicy;
pub use normalizer::Normalizer;
pub use presets::{PRESETS, Preset, alpha_clipped, alpha_mean_after, selective_temperature};
pub use prologue::{Activation, Prologue, QueryScale, RowNorm};
pub use reweight::{LEAST_EXCESS, Reweight};
pub use rotary::{RotaryEmbedding, RotaryInputs, RotaryOutputs, RotaryPairs, RotaryPositions, RowLayout};
pub use storage::{SCALE_LIMIT, Scales, Storage, pack_int8};
pub use tensors::{Inputs, Outputs};
pub use weight::Weight;

use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensors};

/// A weight that options of softmax do not go with.
const NO_SOFTMAX: &str = "a weight other than softmax";

/// Attention with a choice of weights and normalisers: masks, windows, padding, packed sequences, grouped heads, biases. The formula is that of the
/// [module](self).
///
/// | operand | shape | type |
/// |---|---|---|
/// | `q` | `[batch, q_heads, seq_q, head_dim]` | `dtype` |
/// | `k` | `[batch, kv_heads, seq_kv, head_dim]` | `dtype` |
/// | `v` | `[batch, kv_heads, seq_kv, val_dim]` | `dtype` |
/// | `k_scale`, `v_scale` | `[batch, kv_heads, seq_kv]` (or as `k` without its last dimension) or `[kv_heads]` | f32, if `storage` is `Int8` (`k` and `v` are u32 then) |
/// | `lens_q`, `lens_kv` | `[batch]` | u32, if `sequences` is `Padded` |
/// | `lens_kv`, `block_table` | `[batch]`, `[batch, ⌈seq_kv / page⌉]` | u32, if `sequences` is `Paged` (which also changes `k` and `v`) |
/// | `cu_seqlens_q`, `cu_seqlens_kv` | `[batch + 1]` | u32, if `sequences` is `Packed` (which also changes the shapes above) |
/// | `head_bias`, `alibi_slopes`, `sink` | `[q_heads]` | f32 |
/// | `sink_key` | `[kv_heads, head_dim]` | f32 |
/// | `relative_bias` | `[q_heads, 2·reach + 1]` | f32 |
/// | `key_bias` | `[batch, seq_kv]` (packed: `[total_kv]`), or with a dimension for key/value heads | f32 |
/// | `score_bias` | `[batch or 1, q_heads or 1, seq_q, seq_kv]` | f32 |
/// | `document_q`, `document_kv` | `[batch, seq_q]`, `[batch, seq_kv]` (packed: `[total_q]`, `[total_kv]`) | u32, if `documents` |
/// | `block_map` | `[batch or 1, q_heads or 1, ⌈seq_q / q⌉, ⌈seq_kv / kv⌉]` | u32 |
/// | `dropout_seed` | `[2]` | u32, if `dropout` has a `seed_input` |
/// | `log_norm` | `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | f32, if `normalizer` is `LearnedExp` |
/// | `r` | shape of `q` | `dtype`, if `local_linear` |
/// | `rho` | `[q_heads]`, not 0 | f32, if `normalizer` is `GlobalFrobenius` |
/// | those of [`Prologue`] and [`Epilogue`] | | |
/// | → `o` | `[batch, q_heads, seq_q, val_dim]` | `dtype` |
/// | → `lse` | `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | f32, natural logarithm |
/// | → `row_sum` | as `lse` | f32: `Σ_j a_ij`, `Σ_j a_ij²` (`GlobalFrobenius`), or how many keys the query sees (whatever they hold) if the normaliser counts |
/// | → `row_mean`, `row_max` | as `lse` | f32, with `row_sum` if there is a `reweight`: of the weights before it |
/// | → `v_mean`, `rk_mean` | as `o` and as `lse` | `dtype` and f32, with `lse` if `local_linear`: `Σ_j P_ij v̂_j` and `Σ_j P_ij r_i·k̂_j` |
///
/// A query that sees no key gives `o = 0`, `lse = −∞` (with a sink: `lse` is its logit) or `row_sum = 0`, and no gradient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Sizes.
    pub dims: Dims,
    /// How a score becomes a weight.
    #[serde(default)]
    pub weight: Weight,
    /// What a row of weights is divided by. Softmax divides by its own row sum.
    #[serde(default)]
    pub normalizer: Normalizer,
    /// Whether and how weights are re-weighted before they are normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reweight: Option<Reweight>,
    /// Whether rows are those of local-linear attention with the given slope `r`, whose product with keys is not scaled: each is the intercept of a
    /// line through values over keys, `r` its slope. Softmax only; with no sink, `relative_bias`, dropout nor int8, its gradient not with a score bias. Rows of parts
    /// of the keys do not merge by their `lse`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local_linear: bool,
    /// Factor on `q·k`; `None` is `1/√head_dim`.
    #[serde(default)]
    pub scale: Option<f32>,
    /// Soft cap on the scaled score, before every bias and mask; greater than 0.
    #[serde(default)]
    pub softcap: Option<f32>,
    /// The bias that is the same for all scores of a batch entry.
    #[serde(default)]
    pub bias: Bias,
    /// Whether there is an input `head_bias [q_heads]`.
    #[serde(default)]
    pub head_bias: bool,
    /// Whether there is an input `key_bias [batch, seq_kv]`; `−∞` masks the key.
    #[serde(default)]
    pub key_bias: bool,
    /// Whether `key_bias` is `[batch, kv_heads, seq_kv]` (packed: `[kv_heads, total_kv]`): one for each key/value head.
    #[serde(default)]
    pub key_bias_per_head: bool,
    /// Whether and how there is an input `score_bias`.
    #[serde(default)]
    pub score_bias: Option<ScoreBias>,
    /// Whether there is an input `alibi_slopes [q_heads]`: `−slope·|i + off − j|` (Press et al., arXiv 2108.12409).
    #[serde(default)]
    pub alibi: bool,
    /// Whether there is an input `relative_bias [q_heads, 2·reach + 1]`, and its reach: a bias by relative position. Not with `score_bias`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_bias: Option<RelativeBias>,
    /// Whether there is an input `sink [q_heads]`: a logit that takes part in the row sum and carries no value. Softmax only.
    #[serde(default)]
    pub sink: bool,
    /// Whether there is an input `sink_key [kv_heads, head_dim]`: the sink's logit is `softcap(scale·q̂_i·k*)` of a learned key `k*` that every query
    /// sees, neither rotated nor normed, without a value; no bias, penalty or score modifier is added to it. Softmax only, and not with `sink`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sink_key: bool,
    /// Causal mask.
    #[serde(default)]
    pub causal: Causal,
    /// Sliding window.
    #[serde(default)]
    pub window: Window,
    /// Chunks: a query at position `i + off` sees the keys of its own chunk of this many only, at least 1 (FlashAttention's
    /// `attention_chunk`, Llama 4).
    #[serde(default)]
    pub chunk: Option<u32>,
    /// Keys `j < prefix` that the causal mask does not hide (prefix language models; T5, arXiv 1910.10683). Window and chunks hide them still.
    #[serde(default)]
    pub prefix: Option<u32>,
    /// Keys `j < sink_tokens` that the left edge of the window does not hide (StreamingLLM, arXiv 2309.17453). All other masks hide them still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_tokens: Option<u32>,
    /// Whether a query sees the keys of its own document only: inputs `document_q` and `document_kv`, any numbers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub documents: bool,
    /// Whether and how there is an input `block_map`, whose zeros hide blocks of pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_map: Option<BlockMap>,
    /// Dropout of weights, for training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<Dropout>,
    /// The user's own slots.
    #[serde(default, skip_serializing_if = "Custom::is_empty")]
    pub custom: Custom,
    /// How the sequences lie in memory.
    #[serde(default)]
    pub sequences: Sequences,
    /// What is done to rows of `q k v` first.
    #[serde(default, skip_serializing_if = "Prologue::is_none")]
    pub prologue: Prologue,
    /// What is done to rows of `o` last.
    #[serde(default, skip_serializing_if = "Epilogue::is_none")]
    pub epilogue: Epilogue,
    /// Whether to return `o_core`, the output before the epilogue, where there is one; the backward pass needs it.
    #[serde(default)]
    pub o_core: bool,
    /// Whether to return `lse`. Softmax only; the backward pass needs it.
    #[serde(default)]
    pub lse: bool,
    /// Whether to return `row_sum`. For normalisers that are formed from what a row sees; the backward pass needs it.
    #[serde(default)]
    pub row_sum: bool,
    /// What a NaN or an infinity in `q k v` does.
    #[serde(default)]
    pub nan_policy: NanPolicy,
    /// Storage type of `q k v o`.
    #[serde(default)]
    pub dtype: Dtype,
    /// Storage of `k` and `v`, if not in `dtype`. Forward only.
    #[serde(default, skip_serializing_if = "Storage::is_float")]
    pub storage: Storage,
}

impl Attention {
    /// Plain softmax attention in f32 with scale `1/√head_dim`. Set further options by struct update.
    pub fn softmax(dims: Dims) -> Self {
        Self {
            dims,
            weight: Weight::Softmax,
            normalizer: Normalizer::None,
            reweight: None,
            local_linear: false,
            scale: None,
            softcap: None,
            bias: Bias::default(),
            head_bias: false,
            key_bias: false,
            key_bias_per_head: false,
            score_bias: None,
            alibi: false,
            relative_bias: None,
            sink: false,
            sink_key: false,
            causal: Causal::None,
            window: Window::default(),
            chunk: None,
            prefix: None,
            sink_tokens: None,
            documents: false,
            block_map: None,
            dropout: None,
            custom: Custom::default(),
            sequences: Sequences::Dense,
            prologue: Prologue::default(),
            epilogue: Epilogue::default(),
            o_core: false,
            lse: false,
            row_sum: false,
            nan_policy: NanPolicy::Exact,
            dtype: Dtype::F32,
            storage: Storage::Float,
        }
    }

    /// FlashSigmoid: sigmoid weights with bias `−ln seq_kv`, in f32 with scale `1/√head_dim`.
    pub fn sigmoid(dims: Dims) -> Self {
        Self { weight: Weight::Sigmoid, bias: Bias::NegLogKeys, ..Self::softmax(dims) }
    }

    /// The factor on `q·k`, rounded to f32 as the kernels use it.
    pub fn scale_value(&self) -> f32 {
        self.scale.unwrap_or_else(|| {
            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
            let s = (1.0 / (self.dims.head_dim as f64).sqrt()) as f32;
            s
        })
    }

    /// Lengths and biases.
    fn side_inputs(&self) -> Vec<Operand> {
        let d = &self.dims;
        let mut all = self.length_inputs();
        all.extend(self.head_bias.then(|| Operand::input("head_bias", [d.q_heads], Dtype::F32)));
        all.extend(self.key_bias.then(|| Operand::input("key_bias", self.key_bias_dims(), Dtype::F32)));
        all.extend(self.score_bias_dims().map(|dims| Operand::input("score_bias", dims, Dtype::F32)));
        all.extend(self.alibi.then(|| Operand::input("alibi_slopes", [d.q_heads], Dtype::F32)));
        all.extend(self.relative_input());
        all.extend(self.sink_input());
        all.extend(self.mask_inputs());
        all.extend(self.dropout.and_then(Dropout::operand));
        all.extend(self.normalizer.operand(self).map(|(name, dims)| Operand::input(name, dims, Dtype::F32)));
        all.extend(self.prologue.inputs(self));
        all.extend(self.epilogue.inputs(self));
        all
    }

    fn check_options(&self) -> Result<(), SpecError> {
        let bad =
            |option, expected: &str, given: String| SpecError::Option { option, expected: expected.into(), given };
        if self.scale.is_some_and(|s| !s.is_finite()) {
            return Err(bad("scale", "a finite number", format!("{:?}", self.scale)));
        }
        if self.softcap.is_some_and(|c| !c.is_finite() || c <= 0.0) {
            return Err(bad("softcap", "a finite number greater than 0", format!("{:?}", self.softcap)));
        }
        if let Bias::Const(b) = self.bias
            && !b.is_finite()
        {
            return Err(bad("bias", "a finite number", b.to_string()));
        }
        self.check_relative()?;
        self.check_masks()?;
        self.dropout.map_or(Ok(()), Dropout::validate)?;
        if self.dtype == Dtype::U32 {
            return Err(bad("dtype", "f32 or f16", "u32".into()));
        }
        self.weight.validate()?;
        self.custom.validate(self.weight)?;
        self.normalizer.validate(self.weight)?;
        self.check_reweight()?;
        self.check_local_linear()?;
        self.prologue.validate(self)?;
        self.epilogue.validate(self)?;
        self.check_storage()?;
        self.check_saved()
    }
}

impl Op for Attention {
    const NAME: &'static str = "attention";
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn operands(&self) -> Vec<Operand> {
        let mut all = self.main_inputs();
        all.extend(self.side_inputs());
        all.push(Operand::output("o", self.query_dims(self.dims.val_dim), self.dtype));
        all.extend(self.o_core.then(|| Operand::output("o_core", self.query_dims(self.dims.val_dim), self.dtype)));
        all.extend(self.lse.then(|| Operand::output("lse", self.row_dims(), Dtype::F32)));
        all.extend(self.row_sum.then(|| Operand::output("row_sum", self.row_dims(), Dtype::F32)));
        all.extend(self.measure_outputs());
        all.extend(self.moment_outputs());
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        dims::check(self)?;
        self.check_options()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: `2·(head_dim + val_dim)` per pair (`4·B·H·T_q·T_k·D`), half if causal, twice if local-linear.
    fn cost(&self) -> Cost {
        let products = if self.local_linear { 4.0 } else { 2.0 };
        let per_pair = products * (self.dims.head_dim + self.dims.val_dim) as f64;
        Cost { flops: self.counted_pairs() * per_pair, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let mut parts = vec![self.weight_label()];
        parts.extend((self.normalizer != Normalizer::None).then(|| self.normalizer.name().to_string()));
        parts.extend(self.reweight_label());
        parts.extend(self.local_linear.then(|| "local_linear".to_string()));
        let mut on = |yes: bool, name: &str| parts.extend(yes.then(|| name.to_string()));
        on(self.causal == Causal::TopLeft, "causal_top_left");
        on(self.causal == Causal::BottomRight, "causal_bottom_right");
        on(self.window != Window::default(), "window");
        on(self.chunk.is_some(), "chunk");
        on(self.prefix.is_some(), "prefix");
        on(matches!(self.sequences, Sequences::Padded { .. }), "padded");
        on(matches!(self.sequences, Sequences::Packed { .. }), "packed");
        on(matches!(self.sequences, Sequences::Paged { .. }), "paged");
        on(self.softcap.is_some(), "softcap");
        on(self.head_bias, "head_bias");
        on(self.key_bias && !self.key_bias_per_head, "key_bias");
        on(self.key_bias_per_head, "key_bias_per_head");
        on(self.score_bias.is_some(), "score_bias");
        on(self.alibi, "alibi");
        on(self.relative_bias.is_some(), "relative_bias");
        on(self.sink, "sink");
        on(self.sink_key, "sink_key");
        on(self.dropout.is_some(), self.dropout.map_or("", Dropout::label));
        parts.extend(self.mask_labels());
        parts.extend(self.custom.labels());
        parts.extend(self.prologue.label());
        parts.extend(self.epilogue.label());
        parts.extend(self.storage.name().map(String::from));
        parts.push(self.dtype.name().into());
        parts.join(".")
    }

    fn size_label(&self) -> String {
        let d = &self.dims;
        let pair = |a: usize, b: usize| {
            if a == b { a.to_string() } else { format!("{a}/{b}") }
        };
        let (h, t, w) = (pair(d.q_heads, d.kv_heads), pair(d.seq_q, d.seq_kv), pair(d.head_dim, d.val_dim));
        format!("B{} H{h} T{t} D{w}", d.batch)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        values::check(self, inputs)
    }
}
