//! Presets of *On the Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective* (arXiv 2507.23632): its forms of softmax by names
//! of their own, and the linear attentions that it compares them with. Each says which names of the paper's code it stands for.

use super::{Activation, Attention, Causal, Dims, Epilogue, FeatureMap, Gate, Normalizer, Prologue, RowNorm, Weight};

/// `exp(min(z, 5))`, top-left causal: what most of the ablations share.
fn clamped(dims: Dims, normalizer: Normalizer) -> Attention {
    let weight = Weight::ExpClamp(5.0);
    Attention { weight, normalizer, causal: Causal::TopLeft, ..Attention::softmax(dims) }
}

/// Its gated forms: a gate per key on the values, another per head on the output.
fn gated(dims: Dims, norm: Option<RowNorm>, gate: Option<Gate>, gate_last: bool) -> Attention {
    let prologue = Prologue { value_scale: Some(Activation::Sigmoid), ..Prologue::default() };
    let epilogue = Epilogue { gate, norm, gate_last, ..Epilogue::default() };
    Attention { prologue, epilogue, ..clamped(dims, Normalizer::Count) }
}

/// Products of features, top-left causal.
fn featured(dims: Dims, map: FeatureMap) -> Attention {
    let prologue = Prologue { feature_map: Some(map), ..Prologue::default() };
    Attention { weight: Weight::Identity, prologue, causal: Causal::TopLeft, ..Attention::softmax(dims) }
}

impl Attention {
    /// `exp(min(s, 5))` divided by `max(Σ, 1)` (*On the Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective*, arXiv
    /// 2507.23632: `softmax_clamp_denom`).
    pub fn softmax_clamp_denom(dims: Dims) -> Self {
        clamped(dims, Normalizer::ClampedRowSum)
    }

    /// The same, with a denominator that the gradient does not see (arXiv 2507.23632: `softmax_detach_denom`).
    pub fn softmax_detach_denom(dims: Dims) -> Self {
        clamped(dims, Normalizer::DetachedClampedRowSum)
    }

    /// `exp(min(s, 5))` divided by how many keys the query sees (arXiv 2507.23632: `softmax_divs`, `gated_softmax_no_gate_no_norm`).
    pub fn softmax_divs(dims: Dims) -> Self {
        clamped(dims, Normalizer::Count)
    }

    /// `exp(min(s, 5))` with a gate per head and no denominator (arXiv 2507.23632: `softmax_gate`).
    pub fn softmax_gate(dims: Dims) -> Self {
        let epilogue = Epilogue { gate: Some(Gate::HEAD), ..Epilogue::default() };
        Self { epilogue, ..clamped(dims, Normalizer::None) }
    }

    /// The same divided by how many keys the query sees (arXiv 2507.23632: `softmax_divS_gate`, `gated_softmax_no_in_gate_no_norm`).
    pub fn softmax_divs_gate(dims: Dims) -> Self {
        Self { normalizer: Normalizer::Count, ..Self::softmax_gate(dims) }
    }

    /// Divided by the count of keys, then normalised by RMS with a gain (arXiv 2507.23632: `softmax_divS_norm`, `gated_softmax_no_gate_rmsnorm`, and,
    /// but for the norm's eps, which sees the count, `gated_softmax_no_gate_rmsnorm_nodivS`).
    pub fn softmax_divs_norm(dims: Dims) -> Self {
        let epilogue = Epilogue { norm: Some(RowNorm::RMS), gain: true, ..Epilogue::default() };
        Self { epilogue, ..clamped(dims, Normalizer::Count) }
    }

    /// Values gated by the sigmoid of an input `value_scale`, outputs normalised by their length: [`gated_softmax`](Self::gated_softmax) with an L2 norm,
    /// before which its gate would cancel.
    pub fn gated_softmax_l2(dims: Dims) -> Self {
        gated(dims, Some(RowNorm::L2), None, false)
    }

    /// The same with an RMS norm, a gate per head before it.
    pub fn gated_softmax_rms(dims: Dims) -> Self {
        gated(dims, Some(RowNorm::RMS), Some(Gate::HEAD), false)
    }

    /// The same with an L2 norm and the gate after it: [`softmax_post_gate_l2`](Self::softmax_post_gate_l2), clamped, with an input gate.
    pub fn gated_softmax_post_gate_l2(dims: Dims) -> Self {
        gated(dims, Some(RowNorm::L2), Some(Gate::HEAD), true)
    }

    /// The Taylor series of the exponential to degree 8, by its row sum (arXiv 2507.23632: `softmax_taylor`, whose 80 terms f32 cannot tell
    /// from the exponential). Causal.
    pub fn taylor_softmax(dims: Dims) -> Self {
        Self { weight: Weight::Taylor(8), ..clamped(dims, Normalizer::RowSum) }
    }

    /// `exp(min(s, 5))` divided by its row sum, which the gradient does not see, with a gate per head (arXiv 2507.23632:
    /// `softmax_detach_denom_gate`, which adds 10⁻⁴ to the sum).
    pub fn softmax_detach_denom_gate(dims: Dims) -> Self {
        Self { normalizer: Normalizer::DetachedRowSum, ..Self::softmax_gate(dims) }
    }

    /// `exp(min(s, 5))` divided by how many keys the query sees, values gated by the sigmoid of an input `value_scale`, a gate per head, LayerNorm with
    /// a gain (arXiv 2507.23632: `gated_softmax`; its norm also adds a vector, which is the caller's). Without `prologue.value_scale` it is
    /// `…_no_in_gate`, without `epilogue.gate` `…_no_out_gate`, without both `…_no_gate`, without norm and gain `…_no_norm`.
    pub fn gated_softmax(dims: Dims) -> Self {
        let layer = gated(dims, Some(RowNorm::LAYER), Some(Gate::HEAD), false);
        Self { epilogue: Epilogue { gain: true, ..layer.epilogue }, ..layer }
    }

    /// `exp(min(s, 5))`, outputs normalised by their length instead of by a denominator (arXiv 2507.23632:
    /// `gated_softmax_no_gate_L2norm_nodivS`).
    pub fn softmax_l2(dims: Dims) -> Self {
        let epilogue = Epilogue { norm: Some(RowNorm::L2), ..Epilogue::default() };
        Self { epilogue, ..clamped(dims, Normalizer::None) }
    }

    /// `exp(s)`, outputs normalised by their length: softmax, since what divides a row cancels there, so that no exponential overflows (arXiv
    /// 2507.23632: `gated_softmax_no_gate_L2norm_nodivS_noclamp`, and `gated_softmax_out_gate_L2norm_nodivS_noclamp`, whose gate cancels too).
    pub fn softmax_l2_noclamp(dims: Dims) -> Self {
        let epilogue = Epilogue { norm: Some(RowNorm::L2), ..Epilogue::default() };
        Self { epilogue, causal: Causal::TopLeft, ..Self::softmax(dims) }
    }

    /// The same with a gate per head after the norm (arXiv 2507.23632: `gated_softmax_post_out_gate_L2norm_nodivS_noclamp`, whose gate before the
    /// norm cancels).
    pub fn softmax_post_gate_l2(dims: Dims) -> Self {
        let plain = Self::softmax_l2_noclamp(dims);
        Self { epilogue: Epilogue { gate: Some(Gate::HEAD), gate_last: true, ..plain.epilogue }, ..plain }
    }

    /// Outputs of length `val_dim` (arXiv 2507.23632: `gated_softmax_no_gate_customnorm`): give `val_dim` for every element of the input `o_gain`.
    pub fn softmax_custom_norm(dims: Dims) -> Self {
        let epilogue = Epilogue { norm: Some(RowNorm::L2), gain: true, ..Epilogue::default() };
        Self { epilogue, ..clamped(dims, Normalizer::Count) }
    }

    /// `exp(min(s, 5))` divided by `max(Σ_{t ≤ i} exp(gate_t), 1)`, a running sum over queries (arXiv 2507.23632: `gated_softmax_cumgate`): the input
    /// `log_norm` is its logarithm ([`cumulative_log_norm`]).
    pub fn softmax_cumgate(dims: Dims) -> Self {
        clamped(dims, Normalizer::LearnedExp)
    }

    /// `relu(q)·relu(k)/√head_dim`, outputs normalised by their length (arXiv 2507.23632: `gated_ReLU_no_gate_L2norm_nodivS_noclamp`). Gates of
    /// values and outputs, which the paper leaves out here, are `prologue.value_scale` and `epilogue.gate`, with `gate_last`, or it cancels.
    pub fn gated_relu_l2(dims: Dims) -> Self {
        let epilogue = Epilogue { norm: Some(RowNorm::L2), ..Epilogue::default() };
        Self { epilogue, ..featured(dims, FeatureMap::Relu) }
    }

    /// Linear attention: `φ(q)·φ(k)`, `φ = elu + 1`, by its row sum (*Transformers are RNNs*, arXiv 2006.16236; the linear attention of arXiv 2405.15731,
    /// `kernel: elu` of arXiv 2410.10781, where a scale cancels, and `linear_elu` of arXiv 2507.23632).
    pub fn linear_elu(dims: Dims) -> Self {
        Self { normalizer: Normalizer::RowSum, scale: Some(1.0), ..featured(dims, FeatureMap::EluOne) }
    }

    /// Linear attention of relu, by its row sum (SANA, arXiv 2410.10629; `linear_relu` of arXiv 2507.23632, which adds 10⁻⁸ to the sum). A query
    /// that shares no feature with a key gives 0.
    pub fn linear_relu(dims: Dims) -> Self {
        Self { normalizer: Normalizer::RowSum, scale: Some(1.0), ..featured(dims, FeatureMap::Relu) }
    }

    /// Cosines as weights (arXiv 2507.23632: `linear_cosine`). Values are divided by a power of how many keys their own position sees: give
    /// `(j + 1)^(−σ(c_h))`, with a learned `c` that begins at 0.5, for the input `value_scale [batch, kv_heads, seq_kv]`.
    pub fn linear_cosine(dims: Dims) -> Self {
        let (norm, value_scale) = (Some(RowNorm::L2), Some(Activation::Identity));
        let prologue = Prologue { query_norm: norm, key_norm: norm, value_scale, ..Prologue::default() };
        let (weight, causal) = (Weight::Identity, Causal::TopLeft);
        Self { weight, causal, scale: Some(1.0), prologue, ..Self::softmax(dims) }
    }
}

/// The input `log_norm` of [`softmax_cumgate`](Attention::softmax_cumgate): `ln max(Σ_{t ≤ i} exp(gate_t), 1)` for every query `i` of every run of
/// `seq_q` gates, `[…, seq_q]` flat. A `d_log_norm_i` of a sum above 1 adds `d_log_norm_i·exp(gate_t − log_norm_i)` to the gradient of
/// each `gate_t` before it.
///
/// ```
/// use gatefold_core::attention::cumulative_log_norm;
/// let found = cumulative_log_norm(&[0.0, 0.0, -3.0, -3.0], 2); // two runs: 1, 2; then less than 1
/// assert_eq!(found, [0.0, std::f32::consts::LN_2, 0.0, 0.0]);
/// ```
pub fn cumulative_log_norm(gate: &[f32], seq_q: usize) -> Vec<f32> {
    let run = |run: &[f32]| -> Vec<f32> {
        let mut log_sum = f64::NEG_INFINITY;
        let next = |&gate: &f32| {
            let (low, high) = (log_sum.min(gate.into()), log_sum.max(gate.into()));
            log_sum = if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() };
            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
            let norm = log_sum.max(0.0) as f32;
            norm
        };
        run.iter().map(next).collect()
    };
    gate.chunks(seq_q.max(1)).flat_map(run).collect()
}
