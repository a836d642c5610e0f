//! Attentions by the names of the papers that propose them, each with its defaults. A preset is a plain value: change what you like by
//! struct update.

use super::{
    Activation, Attention, Bias, Causal, Dims, Epilogue, Gate, Injection, Normalizer, Prologue, QueryScale,
    RelativeBias, Reweight, RowNorm, Sequences, Weight,
};

/// An attention of a paper.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Name in reports: `lssa`.
    pub name: &'static str,
    /// What the paper calls it.
    pub title: &'static str,
    /// Where it is defined.
    pub source: &'static str,
    /// The spec for given sizes.
    pub build: fn(Dims) -> Attention,
}

macro_rules! presets {
    ($($name:ident, $title:literal, $source:literal;)*) => {
        /// Every preset.
        pub const PRESETS: &[Preset] = &[$(
            Preset { name: stringify!($name), title: $title, source: $source, build: Attention::$name }
        ),*];
    };
}

presets! {
    flash_sigmoid, "FlashSigmoid", "arXiv 2409.04431";
    triton_sigmoid, "TritonSigmoid", "arXiv 2604.27124";
    lssa, "LSSA (softplus attention)", "arXiv 2501.13428";
    gated_element, "Gated attention G1, elementwise", "arXiv 2505.06708";
    gated_head, "Gated attention G1, headwise", "arXiv 2505.06708";
    selective, "Selective self-attention", "arXiv 2411.12892";
    cosine, "Cosine attention (query-key normalisation)", "arXiv 2010.04245";
    distance, "Distance attention", "arXiv 2606.22325";
    normalized, "Normalised attention", "arXiv 2405.15731";
    off_by_one, "Softmax off by one", "E. Miller, Attention Is Off By One (2023)";
    sink_logit, "Softmax with a sink logit", "gpt-oss; arXiv 2309.17453";
    sink_free_sigmoid, "Sigmoid without a normaliser", "arXiv 2410.10781";
    sink_free_elu, "elu + 1 without a normaliser", "arXiv 2410.10781";
    sink_normalized_sigmoid, "Sigmoid by its row sum", "arXiv 2410.10781";
    sink_normalized_elu, "elu + 1 by its row sum", "arXiv 2410.10781";
    sink_identity, "Identity by max(|row sum|, 1)", "arXiv 2410.10781";
    softmax_clamp_denom, "Softmax as RNN: clamped denominator", "arXiv 2507.23632: `softmax_clamp_denom`";
    softmax_detach_denom, "Softmax as RNN: detached denominator", "arXiv 2507.23632: `softmax_detach_denom`";
    softmax_divs, "Softmax as RNN: by the count of keys", "arXiv 2507.23632: `softmax_divs`";
    softmax_gate, "Softmax as RNN: gate for a denominator", "arXiv 2507.23632: `softmax_gate`";
    softmax_divs_gate, "Softmax as RNN: by the count of keys, gated", "arXiv 2507.23632: `softmax_divS_gate`";
    softmax_divs_norm, "Softmax as RNN: by the count of keys, normalised output", "arXiv 2507.23632: `softmax_divS_norm`, `gated_softmax_no_gate_rmsnorm`";
    gated_softmax_l2, "Softmax as RNN: input gate, L2 output norm", "arXiv 2507.23632";
    gated_softmax_rms, "Softmax as RNN: input gate, RMS output norm", "arXiv 2507.23632";
    gated_softmax_post_gate_l2, "Softmax as RNN: input gate, L2 output norm, gate after it", "arXiv 2507.23632";
    taylor_softmax, "Softmax as RNN: Taylor series", "arXiv 2507.23632: `softmax_taylor_80terms`";
    stable_max, "StableMax", "arXiv 2501.04697";
    affine_scaled, "Affine-scaled attention", "Affine-Scaled Attention (2026), see docs";
    soft_injection, "Soft injection of task vectors", "Soft Injection of Task Embeddings, see docs";
    lssar, "LSSAR (softplus attention, re-weighted)", "arXiv 2501.13428";
    infsa, "InfSA (infinite self-attention, pure)", "arXiv 2603.00175";
    soft_products, "SOFT, its products with Gaussian kernels", "arXiv 2207.03341";
    softmax_detach_denom_gate, "Softmax as RNN: detached denominator, gated", "arXiv 2507.23632: `softmax_detach_denom_gate`";
    gated_softmax, "Softmax as RNN: input gate, gate, LayerNorm", "arXiv 2507.23632: `gated_softmax`";
    softmax_l2, "Softmax as RNN: clamped, L2 output norm", "arXiv 2507.23632: `gated_softmax_no_gate_L2norm_nodivS`";
    softmax_l2_noclamp, "Softmax as RNN: L2 output norm", "arXiv 2507.23632: `gated_softmax_no_gate_L2norm_nodivS_noclamp`";
    softmax_post_gate_l2, "Softmax as RNN: L2 output norm, gate after it", "arXiv 2507.23632: `gated_softmax_post_out_gate_L2norm_nodivS_noclamp`";
    softmax_custom_norm, "Softmax as RNN: output of length `val_dim`", "arXiv 2507.23632: `gated_softmax_no_gate_customnorm`";
    softmax_cumgate, "Softmax as RNN: by a running sum of gates", "arXiv 2507.23632: `gated_softmax_cumgate`";
    gated_relu_l2, "Softmax as RNN: products of relu, L2 output norm", "arXiv 2507.23632: `gated_ReLU_no_gate_L2norm_nodivS_noclamp`";
    linear_elu, "Linear attention of elu + 1", "arXiv 2006.16236, 2405.15731, 2410.10781, 2507.23632: `linear_elu`";
    linear_relu, "Linear attention of relu", "arXiv 2410.10629, 2507.23632: `linear_relu`";
    linear_cosine, "Linear attention of cosines", "arXiv 2507.23632: `linear_cosine`";
    parallax, "Parallax (local-linear attention with given r)", "arXiv 2501.12352";
    sink_key, "Softmax with a key bias k*", "arXiv 2410.10781";
    t5, "T5, its encoder's relative positions", "arXiv 1910.10683";
}

impl Attention {
    /// FlashSigmoid (Ramapuram et al., *Theory, Analysis, and Best Practices for Sigmoid Self-Attention*, arXiv 2409.04431): sigmoid weights
    /// with bias `−ln seq_kv`, no normaliser.
    pub fn flash_sigmoid(dims: Dims) -> Self {
        Self::sigmoid(dims)
    }

    /// TritonSigmoid (*Better Models, Faster Training: Sigmoid Attention for single-cell Foundation Models*, arXiv 2604.27124): padded
    /// sequences with inputs `lens_q lens_kv`, bias `−ln len_kv` per batch entry.
    pub fn triton_sigmoid(dims: Dims) -> Self {
        let sequences = Sequences::Padded { q: true, kv: true };
        Self { bias: Bias::NegLogLen, sequences, ..Self::sigmoid(dims) }
    }

    /// LSSA (*Softplus Attention with Re-weighting Boosts Length Extrapolation*, arXiv 2501.13428): softplus of cosines times
    /// `ln head_dim · ln N_i`, by its row sum, causal. Queries and keys are normalised here, after rotary embedding.
    pub fn lssa(dims: Dims) -> Self {
        let norm = Some(RowNorm::L2);
        let query_scale = Some(QueryScale::LogKeys);
        let prologue = Prologue { query_norm: norm, key_norm: norm, query_scale, ..Prologue::default() };
        let (weight, normalizer) = (Weight::Softplus, Normalizer::RowSum);
        Self { weight, normalizer, scale: Some(1.0), causal: Causal::BottomRight, prologue, ..Self::softmax(dims) }
    }

    /// LSSAR: [`lssa`](Self::lssa), of whose weights those above the mean of their row count, to the power of 3 (arXiv 2501.13428). For lengths far
    /// beyond those of training the paper takes a `reweight.power` of 15.
    pub fn lssar(dims: Dims) -> Self {
        Self { reweight: Some(Reweight::LSSAR), ..Self::lssa(dims) }
    }

    /// Parallax: softmax attention corrected to first order by the distance of keys from their mean along an input `r [batch, q_heads, seq_q,
    /// head_dim]`, `o_i = Σ_j P_ij·(1 − r_i·(k_j − k̄_i)) v_j`. With `r_i = (Cov_P(k) + (λ/ω_i)·I)⁻¹(k̄_i − q_i)`, `ω_i` the sum of the row's exponentials, it
    /// is the intercept of a local ridge regression of values on keys: local-linear attention (*Test-time regression*, arXiv 2501.12352; arXiv 2510.01450).
    /// Parallax takes `r` from a projection of its own. Causal.
    pub fn parallax(dims: Dims) -> Self {
        Self { local_linear: true, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Gated attention G1, one sigmoid gate per output element (*Gated Attention for Large Language Models*, arXiv 2505.06708): input `gate`
    /// holds logits `[batch, q_heads, seq_q, val_dim]`. Causal.
    pub fn gated_element(dims: Dims) -> Self {
        let epilogue = Epilogue { gate: Some(Gate::ELEMENT), ..Epilogue::default() };
        Self { epilogue, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Gated attention G1, one sigmoid gate per query and head (arXiv 2505.06708): input `gate [batch, q_heads, seq_q]`. Causal.
    pub fn gated_head(dims: Dims) -> Self {
        let epilogue = Epilogue { gate: Some(Gate::HEAD), ..Epilogue::default() };
        Self { epilogue, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Selective self-attention (arXiv 2411.12892): inputs `query_scale` (inverse temperature per query; [`selective_temperature`] has its
    /// form) and `value_scale`. Causal.
    pub fn selective(dims: Dims) -> Self {
        let (query_scale, value_scale) = (Some(QueryScale::Given), Some(Activation::Identity));
        let prologue = Prologue { query_scale, value_scale, ..Prologue::default() };
        Self { prologue, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Cosine attention: softmax of cosines (*Query-Key Normalization for Transformers*, arXiv 2010.04245), scale `√head_dim`; its paper learns
    /// the scale.
    pub fn cosine(dims: Dims) -> Self {
        let norm = Some(RowNorm::L2);
        let prologue = Prologue { query_norm: norm, key_norm: norm, ..Prologue::default() };
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
        let scale = Some((dims.head_dim as f64).sqrt() as f32);
        Self { prologue, scale, ..Self::softmax(dims) }
    }

    /// Distance attention: softmax of `−‖q_i − k_j‖²/(2τ)` with `τ = √head_dim` (*All Routes Lead to Collapse*, arXiv 2606.22325). A `key_penalty`
    /// between 0 and 1 leads from plain softmax to it.
    pub fn distance(dims: Dims) -> Self {
        let prologue = Prologue { key_penalty: Some(1.0), ..Prologue::default() };
        Self { prologue, ..Self::softmax(dims) }
    }

    /// Normalised attention (*Understanding the differences in Foundation Models*, arXiv 2405.15731): scores as they are, divided by
    /// `exp(log_norm_i)`, an input with a gradient. Causal, scale 1.
    pub fn normalized(dims: Dims) -> Self {
        let (weight, normalizer) = (Weight::Identity, Normalizer::LearnedExp);
        Self { weight, normalizer, scale: Some(1.0), causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// InfSA, the pure form: `rho·R / (‖R‖_F + 10⁻⁶)`, `R = relu(q·k / head_dim)`, over all pairs of a batch entry and head. Give 0.95 for the input
    /// `rho [q_heads]`, as the paper starts.
    pub fn infsa(dims: Dims) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
        let scale = (1.0 / dims.head_dim as f64) as f32;
        let (weight, normalizer) = (Weight::Relu, Normalizer::GlobalFrobenius(1e-6));
        Self { weight, normalizer, scale: Some(scale), ..Self::softmax(dims) }
    }

    /// The products with Gaussian kernels of *Softmax-free Linear Transformers* (arXiv 2207.03341): `Σ_j κ(q_i, k_j) v_j`,
    /// `κ(a, b) = exp(−½‖a − b‖²/√head_dim)`. SOFT's output `κ(Q, Q̃)·A†·κ(Q, Q̃)ᵀ·V`, `Q̃` its landmarks, is two calls around the caller's inverse:
    /// with `q = Q̃, k = Q, v = V`, then, `X` being `A†` times that, with `q = Q, k = Q̃, v = X`. Take the mean of the landmarks off both first.
    pub fn soft_products(dims: Dims) -> Self {
        let prologue = Prologue { key_penalty: Some(1.0), query_penalty: Some(1.0), ..Prologue::default() };
        Self { weight: Weight::ExpClamp(0.0), prologue, ..Self::softmax(dims) }
    }

    /// Attention of T5's encoder (Raffel et al., arXiv 1910.10683): no scale, and a bias per head and relative position (input
    /// `relative_bias [q_heads, 257]`), the same from 128 on. [`RelativeBias`] says how its buckets become a table.
    pub fn t5(dims: Dims) -> Self {
        Self { scale: Some(1.0), relative_bias: Some(RelativeBias { reach: 128 }), ..Self::softmax(dims) }
    }

    /// Softmax off by one: `exp(s_ij) / (1 + Σ_j exp(s_ij))`. Give zeros for the input `sink [q_heads]`.
    pub fn off_by_one(dims: Dims) -> Self {
        Self { sink: true, ..Self::softmax(dims) }
    }

    /// Softmax with a learned sink logit per head (input `sink [q_heads]`), causal.
    pub fn sink_logit(dims: Dims) -> Self {
        Self { sink: true, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Softmax with a learned key `k*` per key/value head (input `sink_key [kv_heads, head_dim]`) that every query sees and that has no value: K-bias
    /// of *When Attention Sink Emerges in Language Models* (arXiv 2410.10781), causal. Queries and keys are rotated by the caller, `k*` never is.
    pub fn sink_key(dims: Dims) -> Self {
        Self { sink_key: true, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Sigmoid of the score without bias and normaliser (*When Attention Sink Emerges in Language Models*, arXiv 2410.10781). Causal.
    pub fn sink_free_sigmoid(dims: Dims) -> Self {
        Self { weight: Weight::Sigmoid, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// `elu(s) + 1` without a normaliser (arXiv 2410.10781). Causal.
    pub fn sink_free_elu(dims: Dims) -> Self {
        Self { weight: Weight::EluOne, ..Self::sink_free_sigmoid(dims) }
    }

    /// Sigmoid of the score divided by its row sum (arXiv 2410.10781). Causal.
    pub fn sink_normalized_sigmoid(dims: Dims) -> Self {
        Self { normalizer: Normalizer::RowSum, ..Self::sink_free_sigmoid(dims) }
    }

    /// `elu(s) + 1` divided by its row sum (arXiv 2410.10781). Causal.
    pub fn sink_normalized_elu(dims: Dims) -> Self {
        Self { normalizer: Normalizer::RowSum, ..Self::sink_free_elu(dims) }
    }

    /// The score itself, divided by `max(|Σ_j s_ij|, 1)` (arXiv 2410.10781). Causal.
    pub fn sink_identity(dims: Dims) -> Self {
        Self { weight: Weight::Identity, normalizer: Normalizer::ClampedRowSum, ..Self::sink_free_sigmoid(dims) }
    }

    /// StableMax: `s + 1` above 0, `1/(1 − s)` below, by its row sum (*Grokking at the Edge of Numerical Stability*, arXiv 2501.04697).
    pub fn stable_max(dims: Dims) -> Self {
        Self { weight: Weight::StableMax, normalizer: Normalizer::RowSum, ..Self::softmax(dims) }
    }

    /// Affine-scaled attention (*Affine-Scaled Attention*, 2026): `alpha_i·softmax + (alpha_mean − alpha_i)/N_i` over the `N_i` keys that a query
    /// sees. Inputs `alpha [batch, q_heads, seq_q]` ([`alpha_clipped`] has its form) and `alpha_mean [q_heads]`, a moving average
    /// ([`alpha_mean_after`]) that is the caller's. Causal.
    pub fn affine_scaled(dims: Dims) -> Self {
        let epilogue = Epilogue { affine: true, ..Epilogue::default() };
        Self { epilogue, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }

    /// Soft injection (*Soft Injection of Task Embeddings*): causal softmax, a task vector per head (the mean of what the head gave for examples)
    /// mixed into the last row of each sequence by `σ(inject_logit)`; logits begin at 0.
    pub fn soft_injection(dims: Dims) -> Self {
        let epilogue = Epilogue { injection: Some(Injection::LastRow), ..Epilogue::default() };
        Self { epilogue, causal: Causal::BottomRight, ..Self::softmax(dims) }
    }
}

/// Affine-scaled attention's `alpha` of what its layer gives for a query and head: `0.1·x + 0.5`, clipped to 0 to 1.
///
/// ```
/// use gatefold_core::attention::alpha_clipped;
/// assert_eq!([-7.0, 0.0, 2.5, 5.0].map(alpha_clipped), [0.0, 0.5, 0.75, 1.0]);
/// ```
pub fn alpha_clipped(x: f32) -> f32 {
    (0.1 * x + 0.5).clamp(0.0, 1.0)
}

/// Affine-scaled attention's `alpha_mean [q_heads]` after a training step with `alpha [batch, q_heads, seq_q]` (flat): `rho·alpha_mean_h +
/// (1 − rho)·mean(alpha_h)` over batch entries and queries, with a `rho` of 0.9 in the paper and zeros to begin with. Not in evaluation. As it was
/// without queries, or where `alpha` is not a multiple of `q_heads·seq_q` long.
///
/// ```
/// use gatefold_core::attention::alpha_mean_after;
/// let alpha = [1.0, 0.0, 0.5, 0.5]; // two heads, two queries
/// assert_eq!(alpha_mean_after(&[1.0, 0.0], &alpha, 2, 0.75), [0.875, 0.125]);
/// ```
pub fn alpha_mean_after(alpha_mean: &[f32], alpha: &[f32], seq_q: usize, rho: f32) -> Vec<f32> {
    let (heads, rho) = (alpha_mean.len(), f64::from(rho));
    let whole = heads * seq_q;
    if whole == 0 || alpha.is_empty() || !alpha.len().is_multiple_of(whole) {
        return alpha_mean.to_vec();
    }
    let mean = |h: usize| {
        let rows = alpha.chunks(seq_q).skip(h).step_by(heads);
        rows.flatten().map(|&x| f64::from(x)).sum::<f64>() / (alpha.len() / heads) as f64
    };
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let after = |(h, &old): (usize, &f32)| (rho * f64::from(old) + (1.0 - rho) * mean(h)) as f32;
    alpha_mean.iter().enumerate().map(after).collect()
}

/// Selective self-attention's inverse temperature of a query at `position` (from 1): `1 + σ(α)·ln position`, to which its token part
/// `tanh f(x)` is added (arXiv 2411.12892, §3). In decode the position is that in the whole sequence.
///
/// ```
/// use gatefold_core::attention::selective_temperature;
/// assert_eq!(selective_temperature(0.7, 1), 1.0);
/// assert!((selective_temperature(0.0, 100) - 3.302_585).abs() < 1e-6);
/// ```
pub fn selective_temperature(alpha: f32, position: u32) -> f32 {
    let share = 1.0 / (1.0 + (-f64::from(alpha)).exp());
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let temperature = (1.0 + share * f64::from(position.max(1)).ln()) as f32;
    temperature
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttentionBackward, Op};

    #[test]
    fn every_preset_is_legal_and_has_a_gradient() {
        let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 5, ..Dims::new(2, 1, 7, 16) };
        for preset in PRESETS {
            let op = (preset.build)(dims);
            op.validate().unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            let gradient = AttentionBackward::new(op);
            gradient.validate().unwrap_or_else(|e| panic!("{}: {e}", preset.name));
        }
    }

    #[test]
    fn presets_differ() {
        let dims = Dims::new(1, 2, 9, 8);
        for (n, a) in PRESETS.iter().enumerate() {
            for b in &PRESETS[..n] {
                assert!(a.name != b.name && (a.build)(dims) != (b.build)(dims), "{} and {}", a.name, b.name);
            }
        }
    }
}
