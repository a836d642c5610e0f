//! Inputs and outputs of the forward pass as structs.

use crate::{Tensor, Tensors};

/// Inputs of [`Attention`](crate::Attention): a field per operand, shapes as in its table.
///
/// ```
/// use gatefold_core::{Tensor, attention::Inputs};
/// # let (q, k, v) = (Tensor::default(), Tensor::default(), Tensor::default());
/// let inputs = Inputs { q, k, v, ..Inputs::default() };
/// ```
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Queries.
    pub q: Tensor,
    /// Keys.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
    /// Slopes of local-linear attention.
    pub r: Option<Tensor>,
    /// Scales of `k`, if it is int8.
    pub k_scale: Option<Tensor>,
    /// Scales of `v`, if it is int8.
    pub v_scale: Option<Tensor>,
    /// Rows of `q` that count, per batch entry.
    pub lens_q: Option<Tensor>,
    /// Rows of `k` and `v` that count, per batch entry.
    pub lens_kv: Option<Tensor>,
    /// Running totals of packed query rows.
    pub cu_seqlens_q: Option<Tensor>,
    /// Running totals of packed key rows.
    pub cu_seqlens_kv: Option<Tensor>,
    /// Bias per query head.
    pub head_bias: Option<Tensor>,
    /// Bias per key.
    pub key_bias: Option<Tensor>,
    /// Bias per score.
    pub score_bias: Option<Tensor>,
    /// Document of each query.
    pub document_q: Option<Tensor>,
    /// Document of each key.
    pub document_kv: Option<Tensor>,
    /// Which blocks of pairs may be seen.
    pub block_map: Option<Tensor>,
    /// What is xored onto the seed of dropout: its low and its high half.
    pub dropout_seed: Option<Tensor>,
    /// ALiBi slope per query head.
    pub alibi_slopes: Option<Tensor>,
    /// Bias per query head and relative position.
    pub relative_bias: Option<Tensor>,
    /// Sink logit per query head.
    pub sink: Option<Tensor>,
    /// Key of the sink per key/value head.
    pub sink_key: Option<Tensor>,
    /// Logarithm of what each row of weights is divided by.
    pub log_norm: Option<Tensor>,
    /// Factor on weights that a norm of all of them divides, per query head.
    pub rho: Option<Tensor>,
    /// Factor per dim on normalised queries.
    pub q_gain: Option<Tensor>,
    /// Factor per dim on normalised keys.
    pub k_gain: Option<Tensor>,
    /// Factor per query.
    pub query_scale: Option<Tensor>,
    /// Factor, or its logit, per value.
    pub value_scale: Option<Tensor>,
    /// Factor per row of the output.
    pub alpha: Option<Tensor>,
    /// What a row's weights are to add up to, per query head.
    pub alpha_mean: Option<Tensor>,
    /// Logits of the gate.
    pub gate: Option<Tensor>,
    /// Factor per dim on the normalised output.
    pub o_gain: Option<Tensor>,
    /// Logit of the task vector's share, per query head.
    pub inject_logit: Option<Tensor>,
    /// What is mixed into rows of the output, per query head.
    pub task_vector: Option<Tensor>,
}

impl From<Inputs> for Tensors {
    fn from(i: Inputs) -> Self {
        Self::new()
            .with("q", i.q)
            .with("k", i.k)
            .with("v", i.v)
            .with_some("r", i.r)
            .with_some("k_scale", i.k_scale)
            .with_some("v_scale", i.v_scale)
            .with_some("lens_q", i.lens_q)
            .with_some("lens_kv", i.lens_kv)
            .with_some("cu_seqlens_q", i.cu_seqlens_q)
            .with_some("cu_seqlens_kv", i.cu_seqlens_kv)
            .with_some("head_bias", i.head_bias)
            .with_some("key_bias", i.key_bias)
            .with_some("score_bias", i.score_bias)
            .with_some("document_q", i.document_q)
            .with_some("document_kv", i.document_kv)
            .with_some("block_map", i.block_map)
            .with_some("dropout_seed", i.dropout_seed)
            .with_some("alibi_slopes", i.alibi_slopes)
            .with_some("relative_bias", i.relative_bias)
            .with_some("sink", i.sink)
            .with_some("sink_key", i.sink_key)
            .with_some("log_norm", i.log_norm)
            .with_some("rho", i.rho)
            .with_some("q_gain", i.q_gain)
            .with_some("k_gain", i.k_gain)
            .with_some("query_scale", i.query_scale)
            .with_some("value_scale", i.value_scale)
            .with_some("alpha", i.alpha)
            .with_some("alpha_mean", i.alpha_mean)
            .with_some("gate", i.gate)
            .with_some("o_gain", i.o_gain)
            .with_some("inject_logit", i.inject_logit)
            .with_some("task_vector", i.task_vector)
    }
}

/// Outputs of [`Attention`](crate::Attention).
#[derive(Debug, Clone)]
pub struct Outputs {
    /// `[batch, q_heads, seq_q, val_dim]`.
    pub o: Tensor,
    /// As `o`, if asked for.
    pub o_core: Option<Tensor>,
    /// `[batch, q_heads, seq_q]`, if asked for.
    pub lse: Option<Tensor>,
    /// `[batch, q_heads, seq_q]`, if asked for.
    pub row_sum: Option<Tensor>,
    /// `[batch, q_heads, seq_q]`, if asked for and re-weighted.
    pub row_mean: Option<Tensor>,
    /// `[batch, q_heads, seq_q]`, if asked for and re-weighted.
    pub row_max: Option<Tensor>,
    /// As `o`, with `lse` if asked for and local-linear.
    pub v_mean: Option<Tensor>,
    /// As `lse`, with it if asked for and local-linear.
    pub rk_mean: Option<Tensor>,
}

impl From<Tensors> for Outputs {
    fn from(mut t: Tensors) -> Self {
        Self {
            o: t.take("o").unwrap_or_default(),
            o_core: t.take("o_core"),
            lse: t.take("lse"),
            row_sum: t.take("row_sum"),
            row_mean: t.take("row_mean"),
            row_max: t.take("row_max"),
            v_mean: t.take("v_mean"),
            rk_mean: t.take("rk_mean"),
        }
    }
}
