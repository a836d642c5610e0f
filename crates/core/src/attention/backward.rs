//! The gradient of attention.

use serde::{Deserialize, Serialize};

use super::{Attention, Bias, Inputs, NO_SOFTMAX, Sequences, Weight};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Gradient of [`Attention`] with respect to every input.
///
/// Inputs: those of the forward op; of its outputs `o` (softmax, row sums that are not detached, a learned normaliser) and `lse` (softmax)
/// or `row_sum` (normalisers that have one), with it `row_mean` and `row_max` (a `reweight`), `v_mean` and `rk_mean` (local-linear); `o_core` in place of `o` where there is an epilogue; the upstream gradient `d_o` (shape and type of `o`) and, if `d_lse`, that of `lse`. Outputs
/// `d_q d_k d_v` (shape and type of `q k v`), `d_r` where there is an `r`, and, in f32, a gradient for every additive input the spec has: `d_head_bias d_key_bias
/// d_score_bias d_alibi_slopes d_relative_bias d_sink d_sink_key d_log_norm d_rho` and those of [`Prologue`](super::Prologue) and [`Epilogue`](super::Epilogue), and with `d_bias` that of the constant bias, `[1]`.
///
/// ```text
/// delta_i = d_o_i·o_i − d_lse_i
/// dz_ij = P_ij·(d_o_i·v_j − delta_i)                                                              (softmax)
/// dz_ij = weight'(z_ij)·(d_o_i·v_j − c_i)/n_i,   c_i = 0, but for                                 (all others)
///         delta_i (row sum),   delta_i·sign(row_sum_i) where |row_sum_i| > 1 (clamped row sum),
///         a_ij·Σ_i delta_i/(rho_h·‖A‖_F) (global Frobenius)
/// dz_ij = weight'(z_ij)/(row_max_i − offset_i·row_mean_i)·(h_ij − offset_i/N_i·Σ_k h_ik),                (re-weighted)
///         h_ij = power·u_ij^(power − 1)·(d_o_i·v_j − delta_i)/row_sum_i where t_ij > 0, else 0,   u_ij = t_ij/max_k t_ik
/// dz_ij = P_ij·(f_ij·(d_o_i·v_j − m_i) − delta_i + m_i),   m_i = d_o_i·v_mean_i,                     (local-linear)
///         f_ij = 1 − (r_i·k_j − rk_mean_i),   dt_ij = P_ij·(m_i − d_o_i·v_j)
/// ds_ij = dz_ij·score_mod'(s_ij)·(1 − (s_ij/softcap)²)
/// d_q_i = scale·Σ_j ds_ij k_j     d_k_j = scale·Σ_i ds_ij q_i     d_v_j = Σ_i P_ij d_o_i
/// d_r_i = Σ_j dt_ij k_j     d_k_j = Σ_i (scale·ds_ij q_i + dt_ij r_i)     d_v_j = Σ_i P_ij f_ij d_o_i  (local-linear)
/// d_head_bias_h = Σ dz   d_key_bias_j = Σ_hi dz   d_score_bias, d_relative_bias = dz summed over what they are shared by
/// d_alibi_slope_h = −Σ |i + off − j|·dz   d_sink_h = −Σ_i exp(sink_h − lse_i)·delta_i
/// dz*_i = −exp(z*_i − lse_i)·delta_i, z* the logit of a sink key:   d_sink_key = scale·Σ_i ds*_i q_i   d_q_i += scale·ds*_i k*
/// d_log_norm_i = −delta_i   d_rho_h = Σ delta_i/rho_h
/// ```
/// [`Dropout`](super::Dropout) says what changes with it.
/// Deterministic: every sum has one owner and a fixed order. Source: Dao, *FlashAttention-2* (arXiv 2307.08691), §3.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionBackward {
    /// The forward op. Its flags `lse` and `row_sum` are not looked at.
    pub forward: Attention,
    /// Whether there is an upstream gradient of `lse`. Softmax only.
    #[serde(default)]
    pub d_lse: bool,
    /// Whether to return `d_bias [1]`, the gradient of [`Bias::Const`].
    #[serde(default)]
    pub d_bias: bool,
}

impl AttentionBackward {
    /// The gradient of `forward`, without `d_lse` and `d_bias`.
    pub fn new(forward: Attention) -> Self {
        Self { forward, d_lse: false, d_bias: false }
    }

    /// The gradient of the attention between prologue and epilogue.
    #[must_use]
    pub fn core(&self) -> Self {
        Self { forward: self.forward.core(), ..self.clone() }
    }

    /// Gradients of what prologue and epilogue read beside rows.
    fn row_gradients(&self) -> Vec<Operand> {
        let f = &self.forward;
        let prologue = f.prologue.operands(f).into_iter().map(|(name, dims)| (name, dims, Dtype::F32));
        let all = prologue.chain(f.epilogue.operands(f));
        all.map(|(name, dims, dtype)| Operand::output(gradient_name(name), dims, dtype)).collect()
    }
}

fn gradient_name(input: &str) -> &'static str {
    match input {
        "q_gain" => "d_q_gain",
        "k_gain" => "d_k_gain",
        "query_scale" => "d_query_scale",
        "value_scale" => "d_value_scale",
        "gate" => "d_gate",
        "alpha" => "d_alpha",
        "inject_logit" => "d_inject_logit",
        "task_vector" => "d_task_vector",
        "log_norm" => "d_log_norm",
        "rho" => "d_rho",
        _ => "d_o_gain",
    }
}

/// Inputs of [`AttentionBackward`].
#[derive(Debug, Clone, Default)]
pub struct BackwardInputs {
    /// Inputs of the forward op.
    pub forward: Inputs,
    /// Output of the forward op, where the gradient needs it.
    pub o: Option<Tensor>,
    /// Output of the forward op, where there is an epilogue.
    pub o_core: Option<Tensor>,
    /// Output of the forward op. Softmax only.
    pub lse: Option<Tensor>,
    /// Output of the forward op. Normalisers that are formed from what a row sees only.
    pub row_sum: Option<Tensor>,
    /// Output of the forward op. Re-weighted weights only.
    pub row_mean: Option<Tensor>,
    /// Output of the forward op. Re-weighted weights only.
    pub row_max: Option<Tensor>,
    /// Output of the forward op. Local-linear attention only.
    pub v_mean: Option<Tensor>,
    /// Output of the forward op. Local-linear attention only.
    pub rk_mean: Option<Tensor>,
    /// Upstream gradient of `o`.
    pub d_o: Tensor,
    /// Upstream gradient of `lse`.
    pub d_lse: Option<Tensor>,
}

impl From<BackwardInputs> for Tensors {
    fn from(i: BackwardInputs) -> Self {
        Self::from(i.forward)
            .with("d_o", i.d_o)
            .with_some("o", i.o)
            .with_some("o_core", i.o_core)
            .with_some("lse", i.lse)
            .with_some("row_sum", i.row_sum)
            .with_some("row_mean", i.row_mean)
            .with_some("row_max", i.row_max)
            .with_some("v_mean", i.v_mean)
            .with_some("rk_mean", i.rk_mean)
            .with_some("d_lse", i.d_lse)
    }
}

/// Outputs of [`AttentionBackward`].
#[derive(Debug, Clone)]
pub struct BackwardOutputs {
    /// Gradient of `q`.
    pub d_q: Tensor,
    /// Gradient of `k`.
    pub d_k: Tensor,
    /// Gradient of `v`.
    pub d_v: Tensor,
    /// Gradients of the other inputs that the spec has.
    pub biases: Tensors,
}

impl From<Tensors> for BackwardOutputs {
    fn from(mut t: Tensors) -> Self {
        let mut take = |name| t.take(name).unwrap_or_default();
        Self { d_q: take("d_q"), d_k: take("d_k"), d_v: take("d_v"), biases: t }
    }
}

impl Op for AttentionBackward {
    const NAME: &'static str = "attention_backward";
    type Inputs = BackwardInputs;
    type Outputs = BackwardOutputs;

    fn operands(&self) -> Vec<Operand> {
        let f = &self.forward;
        let d = &f.dims;
        let (query, key) = (f.query_dims(d.val_dim), f.key_dims(d.head_dim));
        let mut all = f.main_inputs();
        all.extend(f.kept().into_iter().map(|name| {
            let (dims, dtype) = f.saved_dims(name);
            Operand::input(name, dims, dtype)
        }));
        all.push(Operand::input("d_o", query, f.dtype));
        all.extend(self.d_lse.then(|| Operand::input("d_lse", f.row_dims(), Dtype::F32)));
        all.extend(f.side_inputs());
        all.push(Operand::output("d_q", f.query_dims(d.head_dim), f.dtype));
        all.push(Operand::output("d_k", key, f.dtype));
        all.push(Operand::output("d_v", f.key_dims(d.val_dim), f.dtype));
        all.extend(f.local_linear.then(|| Operand::output("d_r", f.query_dims(d.head_dim), f.dtype)));
        let out = |on: bool, name, dims: Vec<usize>| on.then(|| Operand::output(name, dims, Dtype::F32));
        all.extend(out(f.head_bias, "d_head_bias", vec![d.q_heads]));
        all.extend(out(f.key_bias, "d_key_bias", f.key_bias_dims()));
        all.extend(f.score_bias_dims().map(|dims| Operand::output("d_score_bias", dims, Dtype::F32)));
        all.extend(out(f.alibi, "d_alibi_slopes", vec![d.q_heads]));
        all.extend(f.relative_gradient());
        all.extend(f.sink_gradient());
        all.extend(f.normalizer.operand(f).map(|(name, dims)| Operand::output(gradient_name(name), dims, Dtype::F32)));
        all.extend(out(self.d_bias, "d_bias", vec![1]));
        all.extend(self.row_gradients());
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.forward.validate()?;
        self.forward.custom.check_slopes()?;
        if matches!(self.forward.sequences, Sequences::Paged { .. }) {
            let reason = "pages are shared and rewritten, so a cache has no gradient";
            return Err(SpecError::Conflict { option: "attention_backward", with: "sequences: paged", reason });
        }
        self.forward.check_float("attention_backward", "what has been rounded to int8 has no gradient")?;
        self.forward.check_local_linear_gradient()?;
        if self.d_lse && self.forward.weight != Weight::Softmax {
            let reason = "only softmax has a log-sum-exp";
            return Err(SpecError::Conflict { option: "d_lse", with: NO_SOFTMAX, reason });
        }
        if self.d_bias && !matches!(self.forward.bias, Bias::Const(_)) {
            let (expected, given) = ("bias: const, whose gradient it is".into(), format!("{:?}", self.forward.bias));
            return Err(SpecError::Option { option: "d_bias", expected, given });
        }
        check_addressable(&self.operands())
    }

    /// FLOPs: 2.5 times the forward pass (five products instead of two); if local-linear, twice (eight instead of four).
    fn cost(&self) -> Cost {
        let products = if self.forward.local_linear { 2.0 } else { 2.5 };
        Cost { flops: products * self.forward.cost().flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        self.forward.label()
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.forward.check_values(inputs)
    }
}
