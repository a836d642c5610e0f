//! The options of a gate.

use serde::{Deserialize, Serialize};

/// What a router's logit `z` means for its expert: the score `p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// `p = z`.
    Identity,
    /// `p = exp(z) / Σ exp z`, over all experts.
    #[default]
    Softmax,
    /// `p = 1 / (1 + exp(−z))`.
    Sigmoid,
    /// `p = √ln(1 + exp z)`.
    SqrtSoftplus,
}

impl Score {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Softmax, Self::Sigmoid, Self::SqrtSoftplus];

    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::SqrtSoftplus => "sqrt_softplus",
        }
    }
}

/// Where the weights of the chosen experts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateWeight {
    /// Their scores `p`.
    #[default]
    Score,
    /// The softmax of their logits `z`, over the chosen alone.
    SelectedSoftmax,
    /// `1 / (1 + exp(−z))`.
    SelectedSigmoid,
    /// Their logits `z`.
    Logit,
}

impl GateWeight {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Score, Self::SelectedSoftmax, Self::SelectedSigmoid, Self::Logit];

    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "by_score",
            Self::SelectedSoftmax => "by_selected_softmax",
            Self::SelectedSigmoid => "by_selected_sigmoid",
            Self::Logit => "by_logit",
        }
    }
}

/// What is done to a logit before biases and temperature (activation dense-to-sparse gate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateActivation {
    /// Nothing.
    #[default]
    None,
    /// `1 / (1 + exp(−l))`.
    Sigmoid,
    /// `tanh l`.
    Tanh,
    /// `l / (1 + exp(−2√(2/π)·(l + 0.044715·l³)))`, the usual approximation of `l·Φ(l)`.
    Gelu,
}

impl GateActivation {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::None, Self::Sigmoid, Self::Tanh, Self::Gelu];

    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
        }
    }
}

/// The number that groups of experts are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupScore {
    /// The largest of the group.
    #[default]
    Max,
    /// The sum of so many largest of the group; `−∞` if it has fewer experts that may be chosen.
    TopSum(usize),
}

impl GroupScore {
    /// How many of a group's largest are added.
    pub const fn terms(self) -> usize {
        match self {
            Self::Max => 1,
            Self::TopSum(r) => r,
        }
    }
}

/// Experts in groups of neighbours, of which only some may be chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertGroups {
    /// Groups, 1 to 64, a divisor of the experts.
    pub groups: usize,
    /// Groups that are kept.
    pub keep: usize,
    /// What they are ranked by.
    #[serde(default)]
    pub score: GroupScore,
}
