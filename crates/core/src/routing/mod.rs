//! Routing of tokens to experts: gate, plan, dispatch, experts, combine, and the losses that keep their load even.
//!
//! ```text
//! logits ─ gate ─► weights, indices ─ plan ─► permutation, inverse, offsets
//! x ─ dispatch ─► rows by expert ─ grouped products, activation ─► y ─ combine ─► o
//! ```
//!
//! Counts, indices and permutations are exact integers; nothing whose order matters is formed by atomics, so runs are bit-equal. Nothing is read
//! back in between: grids are sized for the most rows that there may be.

mod combine;
mod congestion;
mod dispatch;
mod expert_activation;
mod expert_choice;
mod grouped;
mod grouped_weights;
mod losses;
mod moe;
mod moe_backward;
mod plan;
mod router;
mod selection_bias;
mod statistics;
mod top_k;
mod top_k_gate;

use serde::{Deserialize, Serialize};

pub use combine::{
    CombineBackwardInputs, CombineBackwardOutputs, CombineInputs, CombineOutputs, MoeCombine, MoeCombineBackward,
};
pub use congestion::{
    CongestionError, GammaInterval, RoutedBatch, bootstrap_gamma, effective_temperature, equilibrium,
    equilibrium_potential, estimate_gamma, rosenthal_potential,
};
pub use dispatch::{DispatchInputs, DispatchOutputs, MAX_HIDDEN, MAX_ROWS, MoeDispatch};
pub use expert_activation::{
    ExpertActivation, ExpertActivationBackward, ExpertActivationBackwardInputs, ExpertActivationBackwardOutputs,
    ExpertActivationInputs, ExpertActivationOutputs, ExpertFunction,
};
pub use expert_choice::{
    ExpertChoice, ExpertChoiceBackward, ExpertChoiceBackwardInputs, ExpertChoiceBackwardOutputs, ExpertChoiceInputs,
    ExpertChoiceOutputs, MAX_CHOICE_TOKENS,
};
pub use grouped::{GroupedGemm, GroupedGemmInputs, GroupedGemmOutputs};
pub use grouped_weights::{GroupedGemmWeights, GroupedGemmWeightsInputs, GroupedGemmWeightsOutputs};
pub use losses::{Congestion, CongestionCost, Load, RouterLoss, RouterLossInputs, RouterLossKind, RouterLossOutputs};
pub use moe::{Moe, MoeInputs, MoeOutputs};
pub use moe_backward::{MoeBackward, MoeBackwardInputs, MoeBackwardOutputs};
pub use plan::{DropPolicy, MAX_BLOCK, MAX_WORKGROUPS, PlanInputs, PlanOutputs, RoutingPlan};
pub use router::{Router, RouterBackward, RouterBackwardInputs, RouterBackwardOutputs, RouterInputs, RouterOutputs};
pub use selection_bias::{SelectionBiasInputs, SelectionBiasOutputs, SelectionBiasUpdate};
pub use statistics::{LoadCounts, RoutingStats};
pub use top_k::{MAX_TOP_K_COLS, TopK, TopKInputs, TopKOutputs};
pub use top_k_gate::{
    ExpertGroups, GateActivation, GateBackwardInputs, GateBackwardOutputs, GateInputs, GateOutputs, GateWeight,
    GroupScore, LOGIT_LIMIT, MAX_GROUP_TERMS, MAX_GROUPS, ROUTER_PRESETS, RouterPreset, Score, TEMPERATURES, TopKGate,
    TopKGateBackward,
};

/// Most experts.
pub const MAX_EXPERTS: usize = 1024;
/// Most experts of a token.
pub const MAX_TOP_K: usize = 64;
/// Most assignments, tokens times experts of a token.
pub const MAX_ASSIGNMENTS: usize = 1 << 24;

/// An index that stands for "no expert": a slot that is not filled.
pub const NO_EXPERT: u32 = (1 << 31) - 1;
/// A row that stands for "none": an assignment that was dropped, or a row that pads a block.
pub const NO_ROW: u32 = (1 << 31) - 1;
/// Bit of an index whose expert is outside the range of experts at hand: another device has it.
pub const ELSEWHERE: u32 = 1 << 31;

/// What a router's NaN logit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NanLogits {
    /// A mistake: [`SpecError::NonFiniteRouting`](crate::SpecError::NonFiniteRouting), and no outputs.
    #[default]
    Refuse,
    /// Its expert is not chosen by this token, as if its logit were `−∞`.
    Lowest,
}
