//! What is done to rows of `q`, `k` and `v` before there are scores.

use serde::{Deserialize, Serialize};

use super::{Attention, Epilogue, FeatureMap, Sequences};
use crate::{Dtype, Operand, SpecError};

/// How a row `x` is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowNorm {
    /// `x / max(‖x‖₂, eps)`.
    L2 {
        /// 10⁻¹⁸ to 16.
        eps: f32,
    },
    /// `x / √(mean x² + eps)` (RMSNorm, arXiv 1910.07467).
    Rms {
        /// 10⁻¹⁸ to 16.
        eps: f32,
    },
    /// `(x − mean x) / √(var x + eps)` (LayerNorm, arXiv 1607.06450), without a shift of its own.
    Layer {
        /// 10⁻¹⁸ to 16.
        eps: f32,
    },
}

impl RowNorm {
    /// L2 with PyTorch's eps of 10⁻¹².
    pub const L2: Self = Self::L2 { eps: 1e-12 };
    /// RMS with an eps of 10⁻⁶.
    pub const RMS: Self = Self::Rms { eps: 1e-6 };
    /// LayerNorm with an eps of 10⁻⁵.
    pub const LAYER: Self = Self::Layer { eps: 1e-5 };

    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2 { .. } => "l2",
            Self::Rms { .. } => "rms",
            Self::Layer { .. } => "layer",
        }
    }

    /// The number that keeps a row of zeros from being divided by 0.
    pub const fn eps(self) -> f32 {
        match self {
            Self::L2 { eps } | Self::Rms { eps } | Self::Layer { eps } => eps,
        }
    }

    pub(super) fn validate(this: Option<Self>, option: &'static str) -> Result<(), SpecError> {
        match this {
            Some(norm) if !(1e-18..=16.0).contains(&norm.eps()) => {
                Err(SpecError::Option { option, expected: "an eps of 1e-18 to 16".into(), given: format!("{norm:?}") })
            }
            _ => Ok(()),
        }
    }
}

/// What becomes of a number that scales: a factor may be given as it is or as a logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// `x / (1 + exp(−x))`.
    Silu,
    /// `tanh x`.
    Tanh,
}

impl Activation {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Sigmoid, Self::Silu, Self::Tanh];

    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
        }
    }
}

/// The factor on a row of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryScale {
    /// An input `query_scale`, any number, with a gradient: an inverse temperature per query (Selective Self-Attention, arXiv 2411.12892).
    Given,
    /// `ln head_dim · ln N_i`, where query `i` sees `N_i` keys (LSSA, arXiv 2501.13428). Goes with a `scale` of 1.
    LogKeys,
}

/// What is done to rows before there are scores: `q̂_i = query_scale_i · φ(gain ∘ norm(q_i))`, `k̂_j = φ(gain ∘ norm(k_j))`,
/// `v̂_j = value_scale_j · v_j`, and `key_penalty`. Everything else then reads `q̂ k̂ v̂` for `q k v`, in the same storage type.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `q_gain`, `k_gain` | `[head_dim]` | f32, if `gain` and there is that norm |
/// | `query_scale` | `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | f32 |
/// | `value_scale` | `[batch, kv_heads, seq_kv]` (packed: `[kv_heads, total_kv]`) | f32 |
///
/// The gradient op returns `d_q_gain d_k_gain d_query_scale d_value_scale` in f32.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prologue {
    /// Norm of every query (QK-norm).
    pub query_norm: Option<RowNorm>,
    /// Norm of every key.
    pub key_norm: Option<RowNorm>,
    /// Whether what is normalised is multiplied by an input, dim by dim.
    pub gain: bool,
    /// `φ`, of every element of queries and keys, after norm and gain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_map: Option<FeatureMap>,
    /// Factor on every query, after its norm and map.
    pub query_scale: Option<QueryScale>,
    /// Whether values are multiplied by an input `value_scale`, and what becomes of it first: a logit with
    /// [`Sigmoid`](Activation::Sigmoid) is the input gate of arXiv 2507.23632.
    pub value_scale: Option<Activation>,
    /// `λ`: `½·λ·scale·‖k̂_j‖²` is taken from every score of a key, −16 to 16. With 1 the softmax is that of the distances
    /// `−½·scale·‖q̂_i − k̂_j‖²` (*All Routes Lead to Collapse*, arXiv 2606.22325).
    pub key_penalty: Option<f32>,
    /// `λ`: `½·λ·scale·‖q̂_i‖²` is taken from every score of a query, −16 to 16; not with `score_bias`. With 1 here and for the keys, scores are
    /// `−½·scale·‖q̂_i − k̂_j‖²`, formed as differences: they lose digits where rows are long against their distances, so take a common offset off
    /// rows first (SOFT, arXiv 2207.03341, takes [`ExpClamp(0)`](super::Weight::ExpClamp) of them).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_penalty: Option<f32>,
}

impl Prologue {
    /// Whether there is nothing to do.
    pub fn is_none(&self) -> bool {
        let rows = self.maps_queries() || self.maps_keys() || self.value_scale.is_some();
        !rows && self.key_penalty.is_none() && self.query_penalty.is_none()
    }

    /// Whether queries are changed.
    pub const fn maps_queries(&self) -> bool {
        self.query_norm.is_some() || self.feature_map.is_some() || self.query_scale.is_some()
    }

    /// Whether keys are changed.
    pub const fn maps_keys(&self) -> bool {
        self.key_norm.is_some() || self.feature_map.is_some()
    }

    /// The small inputs and the shapes that they share with their gradients.
    pub(super) fn operands(&self, a: &Attention) -> Vec<(&'static str, Vec<usize>)> {
        let width = vec![a.dims.head_dim];
        let mut all = Vec::new();
        all.extend((self.gain && self.query_norm.is_some()).then(|| ("q_gain", width.clone())));
        all.extend((self.gain && self.key_norm.is_some()).then_some(("k_gain", width)));
        all.extend((self.query_scale == Some(QueryScale::Given)).then(|| ("query_scale", a.row_dims())));
        all.extend(self.value_scale.map(|_| ("value_scale", a.key_row_dims())));
        all
    }

    pub(super) fn inputs(&self, a: &Attention) -> impl Iterator<Item = Operand> {
        self.operands(a).into_iter().map(|(name, dims)| Operand::input(name, dims, Dtype::F32))
    }

    pub(super) fn validate(&self, a: &Attention) -> Result<(), SpecError> {
        RowNorm::validate(self.query_norm, "prologue.query_norm")?;
        RowNorm::validate(self.key_norm, "prologue.key_norm")?;
        let conflict = |option, with, reason| Err(SpecError::Conflict { option, with, reason });
        if self.gain && self.query_norm.is_none() && self.key_norm.is_none() {
            return conflict("prologue.gain", "prologue", "there is no norm that it could follow");
        }
        if let (Some(QueryScale::LogKeys), Some(with)) = (self.query_scale, a.hider()) {
            let reason = "it may hide keys inside the range that is counted";
            return conflict("prologue.query_scale: log_keys", with, reason);
        }
        for (option, penalty) in
            [("prologue.key_penalty", self.key_penalty), ("prologue.query_penalty", self.query_penalty)]
        {
            if penalty.is_some_and(|x| !(-16.0..=16.0).contains(&x)) {
                let (expected, given) = ("-16 to 16".into(), format!("{penalty:?}"));
                return Err(SpecError::Option { option, expected, given });
            }
        }
        if self.query_penalty.is_some() && a.score_bias.is_some() {
            return conflict("prologue.query_penalty", "score_bias", "no kernel reads both");
        }
        if a.key_bias_per_head && !a.key_bias {
            return conflict("key_bias_per_head", "key_bias: false", "there is no bias that it could be");
        }
        let cached = matches!(a.sequences, Sequences::Paged { .. });
        if cached && (self.key_norm.is_some() || self.value_scale.is_some() || self.key_penalty.is_some()) {
            let reason = "rows of a cache are normalised and scaled before they are put there";
            return conflict("prologue.key_norm, value_scale or key_penalty", "sequences: paged", reason);
        }
        if cached {
            FeatureMap::check_cache(self.feature_map, "sequences: paged")?;
        }
        Ok(())
    }

    /// What shows in a label.
    pub(super) fn label(&self) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(self.query_norm.map(|n| format!("q_{}", n.name())));
        all.extend(self.key_norm.map(|n| format!("k_{}", n.name())));
        all.extend(self.gain.then(|| "gain".into()));
        all.extend(self.feature_map.map(|map| format!("qk_{}", map.name())));
        all.extend(self.query_scale.map(|s| match s {
            QueryScale::Given => "query_scale".into(),
            QueryScale::LogKeys => "log_keys".into(),
        }));
        all.extend(self.value_scale.map(|s| format!("value_{}", s.name())));
        all.extend(self.key_penalty.map(|_| "key_penalty".into()));
        all.extend(self.query_penalty.map(|_| "query_penalty".into()));
        all
    }
}

impl Attention {
    /// Rows of `v` in memory per key/value head: `[batch, kv_heads, seq_kv]` or `[kv_heads, total_kv]`.
    pub fn key_row_dims(&self) -> Vec<usize> {
        let d = &self.dims;
        match self.sequences {
            Sequences::Packed { total_kv, .. } => vec![d.kv_heads, total_kv],
            _ => vec![d.batch, d.kv_heads, d.seq_kv],
        }
    }

    /// The attention between prologue and epilogue: from `q̂ k̂ v̂` to `o_core`. A penalty on keys is a key bias of it; one on queries it has itself.
    #[must_use]
    pub fn core(&self) -> Self {
        let penalty = self.prologue.key_penalty.is_some();
        Self {
            prologue: Prologue { query_penalty: self.prologue.query_penalty, ..Prologue::default() },
            epilogue: Epilogue::default(),
            o_core: false,
            key_bias: self.key_bias || penalty,
            key_bias_per_head: self.key_bias_per_head || penalty,
            ..self.clone()
        }
    }

    /// `½·λ·scale` of a penalty on keys, rounded to f32 as the kernels use it.
    pub fn half_penalty(&self) -> Option<f32> {
        self.prologue.key_penalty.map(|x| self.half(x))
    }

    /// The same of a penalty on queries.
    pub fn half_query_penalty(&self) -> Option<f32> {
        self.prologue.query_penalty.map(|x| self.half(x))
    }

    fn half(&self, penalty: f32) -> f32 {
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
        let half = (0.5 * f64::from(penalty) * f64::from(self.scale_value())) as f32;
        half
    }

    /// Whether the core is all there is.
    pub fn is_core(&self) -> bool {
        Prologue { query_penalty: None, ..self.prologue }.is_none() && self.epilogue.is_none()
    }
}
