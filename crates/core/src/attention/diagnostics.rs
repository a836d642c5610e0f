//! What attention's weights look like, without the matrix of them.

use serde::{Deserialize, Serialize};

use super::{Attention, Epilogue, Inputs, Prologue, Sequences, values};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, Role, SpecError, Tensor, Tensors};

/// Statistics of the weights that an [`Attention`] gives its keys, per query and per key, in memory linear in the sequences.
///
/// ```text
/// P_ij = exp(z_ij − lse_i) (softmax)   or   |a_ij| / Σ_j |a_ij| (all others, whatever their normaliser)
/// importance_j = 1/n_j · Σ_i P_ij      over the n_j queries that see key j
/// entropy_i = −Σ_j P_ij ln P_ij        top_mass_i = max_j P_ij
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `q`, `k`, lengths, biases, `sink` | as of [`Attention`] | |
/// | → `importance` | `[batch, q_heads, seq_kv]` (packed: `[q_heads, total_kv]`) | f32 |
/// | → `entropy`, `top_mass` | `[batch, q_heads, seq_q]` (packed: `[q_heads, total_q]`) | f32, entropy in nats |
///
/// 0 for a query that sees no key or whose weights are all 0, and for a key that no query sees. A sink takes its share of a row. What is not finite
/// in a query or in a key that it sees makes the row NaN, and with it the importance of every key that the row sees. `exp(entropy)` is the effective
/// support of a row; [`AttentionStatistics::diagnose`] makes numbers per head of all this.
///
/// Source: Gu et al., *When Attention Sink Emerges in Language Models* (arXiv 2410.10781); *All Routes Lead to Collapse* (arXiv 2606.22325).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionStatistics {
    /// The attention that is looked at. Its outputs, values, normaliser and dropout make no difference.
    pub forward: Attention,
}

/// Inputs of an attention that make no difference.
const UNREAD: [&str; 3] = ["v", "log_norm", "rho"];

impl AttentionStatistics {
    /// The statistics of `forward`.
    pub fn new(forward: Attention) -> Self {
        Self { forward }
    }

    /// The attention without what makes no difference: from rows of `q` and `k` to weights.
    #[must_use]
    pub fn looked_at(&self) -> Attention {
        let prologue = Prologue { value_scale: None, ..self.forward.prologue };
        Attention { prologue, epilogue: Epilogue::default(), o_core: false, dropout: None, ..self.forward.clone() }
    }

    /// The statistics of the attention after its prologue.
    #[must_use]
    pub fn core(&self) -> Self {
        Self { forward: self.looked_at().core() }
    }

    /// Shape of `importance`.
    pub fn key_dims(&self) -> Vec<usize> {
        let d = &self.forward.dims;
        match self.forward.sequences {
            Sequences::Packed { total_kv, .. } => vec![d.q_heads, total_kv],
            _ => vec![d.batch, d.q_heads, d.seq_kv],
        }
    }
}

/// Inputs of [`AttentionStatistics`].
#[derive(Debug, Clone, Default)]
pub struct StatisticsInputs {
    /// Inputs of the attention; those that make no difference are left out.
    pub forward: Inputs,
}

impl From<StatisticsInputs> for Tensors {
    fn from(i: StatisticsInputs) -> Self {
        let mut all = Self::from(i.forward);
        for name in UNREAD.into_iter().chain(["value_scale", "gate", "o_gain", "dropout_seed"]) {
            all.take(name);
        }
        all
    }
}

/// Outputs of [`AttentionStatistics`], shapes as in its table.
#[derive(Debug, Clone)]
pub struct StatisticsOutputs {
    /// Mean weight of each key over the queries that see it.
    pub importance: Tensor,
    /// Entropy of each row of weights, in nats.
    pub entropy: Tensor,
    /// Largest weight of each row.
    pub top_mass: Tensor,
}

impl From<Tensors> for StatisticsOutputs {
    fn from(mut t: Tensors) -> Self {
        let mut take = |name| t.take(name).unwrap_or_default();
        Self { importance: take("importance"), entropy: take("entropy"), top_mass: take("top_mass") }
    }
}

impl Op for AttentionStatistics {
    const NAME: &'static str = "attention_statistics";
    type Inputs = StatisticsInputs;
    type Outputs = StatisticsOutputs;

    fn operands(&self) -> Vec<Operand> {
        let read = |o: &Operand| o.role == Role::Input && !UNREAD.contains(&o.name);
        let mut all: Vec<_> = self.looked_at().operands().into_iter().filter(read).collect();
        all.push(Operand::output("importance", self.key_dims(), Dtype::F32));
        all.push(Operand::output("entropy", self.forward.row_dims(), Dtype::F32));
        all.push(Operand::output("top_mass", self.forward.row_dims(), Dtype::F32));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.forward.validate()?;
        self.forward.check_float("attention_statistics", "its kernels read floats")?;
        if self.forward.reweight.is_some() {
            let reason = "importance and entropy are those of weights that are not re-weighted";
            return Err(SpecError::Conflict { option: "reweight", with: "attention_statistics", reason });
        }
        let reason = "importance and entropy are those of weights that are shares";
        self.forward.check_plain_weights("attention_statistics", reason)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: `2·head_dim` per pair, half if causal.
    fn cost(&self) -> Cost {
        let per_pair = 2.0 * self.forward.dims.head_dim as f64;
        Cost { flops: self.forward.counted_pairs() * per_pair, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        self.forward.label()
    }

    fn size_label(&self) -> String {
        self.forward.size_label()
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        values::check(&self.forward, inputs)
    }
}
