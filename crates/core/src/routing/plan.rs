//! The plan: which row of the sorted buffer each assignment of a token to an expert gets.

use serde::{Deserialize, Serialize};

use super::{ELSEWHERE, MAX_ASSIGNMENTS, MAX_EXPERTS, MAX_TOP_K, NO_EXPERT, NO_ROW};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Largest multiple that the rows of an expert are rounded up to.
pub const MAX_BLOCK: usize = 1 << 16;
/// Most workgroups in a dimension of a dispatch, by WebGPU's default limits: `dispatch_args` never asks for more.
pub const MAX_WORKGROUPS: u32 = 65_535;

/// Which assignments an expert keeps that was given more than its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropPolicy {
    /// The first ones, in the order of their numbers `t·k + j`.
    #[default]
    Position,
    /// Those of the largest weights, by exact value (`−0` is `+0`); of equal ones the first.
    Weight,
}

/// Sorts the assignments of tokens to experts by expert: counts them, gives each a row, and says which rows an expert has. Assignment `t·k + j`
/// is slot `j` of token `t`. Nothing is read back: every size follows from the spec.
///
/// ```text
/// counts_e  = #{a : indices_a = e}
/// kept_e    = min(counts_e, capacity)                         the first, or those of the largest weights
/// offsets_e = Σ_{f < e} round_up(kept_f, block)               offsets_E: rows in use
/// row of a  = offsets_e + #{b < a kept : indices_b = e}       a kept; the order of an expert's rows is that of their numbers
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `indices` | `[tokens, top_k]` | u32: an expert, [`NO_EXPERT`], or any number with the bit [`ELSEWHERE`] |
/// | `weights` | `[tokens, top_k]` | f32; with a capacity and [`DropPolicy::Weight`] |
/// | → `counts` | `[experts]` | u32, before the capacity |
/// | → `offsets` | `[experts + 1]` | u32, first row of each expert |
/// | → `permutation` | `[rows]` | u32, assignment of each row; [`NO_ROW`] where it pads a block or is not in use |
/// | → `inverse` | `[tokens, top_k]` | u32, row of each assignment; [`NO_ROW`] where it was dropped or has none |
/// | → `block_experts` | `[rows ÷ block]` | u32, expert of each block of rows; [`NO_EXPERT`] where it is not in use |
/// | → `dispatch_args` | `[3]` | u32, workgroups in x, y, z for an indirect dispatch of one a block in use; x·y may exceed that by less than x |
/// | → `rejected` | `[2]` | u32: how many indices mean nothing, and the first (flat), or [`NO_ROW`] |
///
/// `rows` is [`RoutingPlan::rows`], the most that any indices may need. An index of a slot that is not filled or whose expert is elsewhere is not
/// counted and has no row. An index that means nothing is treated so as well and reported in `rejected`: then
/// [`check_outputs`](Op::check_outputs) refuses the outputs. A NaN among weights that only the device has seen ranks below every number.
///
/// Errors: `experts`, `top_k`, `tokens`, `block` outside their ranges ([`SpecError::Dim`]); `drop` by weight without a capacity
/// ([`SpecError::Conflict`]); an index that means nothing or a weight that is NaN ([`SpecError::Value`] from the host,
/// [`SpecError::BadIndex`] from the device).
///
/// Source: Gale et al., *MegaBlocks* (arXiv 2211.15841); Lepikhin et al., *GShard* (arXiv 2006.16668) for capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingPlan {
    /// Tokens; 0 is legal. `tokens · top_k` is at most 2²⁴.
    pub tokens: usize,
    /// Slots of a token, 1 to 64.
    pub top_k: usize,
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// Most assignments that an expert keeps; 0 drops all. `None`: nothing is dropped.
    #[serde(default)]
    pub capacity: Option<usize>,
    /// Which assignments are dropped.
    #[serde(default)]
    pub drop: DropPolicy,
    /// Rows of each expert are rounded up to a multiple of this, 1 to 65,536: the rows of a tile of the grouped product.
    #[serde(default = "one")]
    pub block: usize,
}

fn one() -> usize {
    1
}

impl RoutingPlan {
    /// A plan that drops nothing and pads nothing.
    pub fn new(tokens: usize, top_k: usize, experts: usize) -> Self {
        Self { tokens, top_k, experts, capacity: None, drop: DropPolicy::Position, block: 1 }
    }

    /// Assignments: `tokens · top_k`.
    pub fn assignments(&self) -> usize {
        self.tokens.saturating_mul(self.top_k)
    }

    /// Most assignments that all experts together keep.
    pub fn most_kept(&self) -> usize {
        let room = self.capacity.map_or(usize::MAX, |c| self.experts.saturating_mul(c));
        self.assignments().min(room)
    }

    /// Rows of the sorted buffer: the most that any indices need, a multiple of `block`. With padding, that is when as many experts as can be have
    /// one row more than full blocks; an expert never has more blocks than its capacity fills.
    pub fn rows(&self) -> usize {
        let (kept, block) = (self.most_kept(), self.block.max(1));
        let in_use = self.experts.min(kept);
        let blocks = kept.saturating_add(in_use.saturating_mul(block - 1)) / block;
        let room = self.capacity.map_or(usize::MAX, |c| self.experts.saturating_mul(c.div_ceil(block)));
        blocks.min(room).saturating_mul(block)
    }

    /// Blocks of rows: `rows ÷ block`.
    pub fn blocks(&self) -> usize {
        self.rows() / self.block.max(1)
    }

    /// Whether the plan reads `weights`.
    pub fn by_weight(&self) -> bool {
        self.drop == DropPolicy::Weight
    }

    /// The indices that have a meaning, in words.
    fn legal(&self) -> String {
        format!("0 to {}, NO_EXPERT, or a number with the bit ELSEWHERE", self.experts.saturating_sub(1))
    }
}

/// Inputs of [`RoutingPlan`].
#[derive(Debug, Clone, Default)]
pub struct PlanInputs {
    /// `[tokens, top_k]`, u32.
    pub indices: Tensor,
    /// `[tokens, top_k]`, f32.
    pub weights: Option<Tensor>,
}

impl From<PlanInputs> for Tensors {
    fn from(i: PlanInputs) -> Self {
        Self::new().with("indices", i.indices).with_some("weights", i.weights)
    }
}

/// Outputs of [`RoutingPlan`], all u32.
#[derive(Debug, Clone)]
pub struct PlanOutputs {
    /// `[experts]`.
    pub counts: Tensor,
    /// `[experts + 1]`.
    pub offsets: Tensor,
    /// `[rows]`.
    pub permutation: Tensor,
    /// `[tokens, top_k]`.
    pub inverse: Tensor,
    /// `[rows ÷ block]`.
    pub block_experts: Tensor,
    /// `[3]`.
    pub dispatch_args: Tensor,
    /// `[2]`.
    pub rejected: Tensor,
}

impl From<Tensors> for PlanOutputs {
    fn from(mut t: Tensors) -> Self {
        let mut take = |name| t.take(name).unwrap_or_default();
        Self {
            counts: take("counts"),
            offsets: take("offsets"),
            permutation: take("permutation"),
            inverse: take("inverse"),
            block_experts: take("block_experts"),
            dispatch_args: take("dispatch_args"),
            rejected: take("rejected"),
        }
    }
}

impl Op for RoutingPlan {
    const NAME: &'static str = "routing_plan";
    type Inputs = PlanInputs;
    type Outputs = PlanOutputs;

    fn operands(&self) -> Vec<Operand> {
        let slots = [self.tokens, self.top_k];
        let mut all = vec![Operand::input("indices", slots, Dtype::U32)];
        all.extend(self.by_weight().then(|| Operand::input("weights", slots, Dtype::F32)));
        let outputs: [(_, Vec<usize>); 7] = [
            ("counts", vec![self.experts]),
            ("offsets", vec![self.experts.saturating_add(1)]),
            ("permutation", vec![self.rows()]),
            ("inverse", slots.to_vec()),
            ("block_experts", vec![self.blocks()]),
            ("dispatch_args", vec![3]),
            ("rejected", vec![2]),
        ];
        all.extend(outputs.map(|(name, dims)| Operand::output(name, dims, Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        let ranges = [
            ("experts", self.experts, MAX_EXPERTS),
            ("top_k", self.top_k, MAX_TOP_K),
            ("block", self.block, MAX_BLOCK),
        ];
        for (dim, given, most) in ranges {
            if given == 0 || given > most {
                return Err(SpecError::Dim { dim, expected: format!("1 to {most}"), given });
            }
        }
        if self.assignments() > MAX_ASSIGNMENTS {
            let expected = format!("0 to {}, so that tokens times top_k is at most 2^24", MAX_ASSIGNMENTS / self.top_k);
            return Err(SpecError::Dim { dim: "tokens", expected, given: self.tokens });
        }
        if self.by_weight() && self.capacity.is_none() {
            let reason = "without a capacity nothing is dropped, and no weights are read";
            return Err(SpecError::Conflict { option: "drop = weight", with: "capacity = none", reason });
        }
        check_addressable(&self.operands())
    }

    /// FLOPs: none, as a plan is integers only.
    fn cost(&self) -> Cost {
        Cost { flops: 0.0, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let drop = match (self.capacity, self.drop) {
            (None, _) => "all",
            (Some(_), DropPolicy::Position) => "by_position",
            (Some(_), DropPolicy::Weight) => "by_weight",
        };
        let padded = if self.block > 1 { ".padded" } else { "" };
        format!("{drop}{padded}")
    }

    fn size_label(&self) -> String {
        let capacity = self.capacity.map_or(String::new(), |c| format!(" C{c}"));
        format!("T{} k{} E{}{capacity} M{}", self.tokens, self.top_k, self.experts, self.block)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        let indices = inputs.get("indices").and_then(Tensor::as_u32).unwrap_or_default();
        let has_meaning = |&i: &u32| (i as usize) < self.experts || i == NO_EXPERT || i & ELSEWHERE != 0;
        if let Some(index) = indices.iter().position(|i| !has_meaning(i)) {
            let given = indices[index].to_string();
            return Err(SpecError::Value { operand: "indices".into(), index, expected: self.legal(), given });
        }
        let weights = inputs.get("weights").and_then(Tensor::as_f32).unwrap_or_default();
        match weights.iter().position(|w| w.is_nan()) {
            None => Ok(()),
            Some(index) => {
                let (expected, given) = ("a number to rank by".into(), "NaN".into());
                Err(SpecError::Value { operand: "weights".into(), index, expected, given })
            }
        }
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        match outputs.get("rejected").and_then(Tensor::as_u32) {
            Some(&[count, first]) if count > 0 => {
                let (first, count) = (first.min(NO_ROW) as usize, count as usize);
                Err(SpecError::BadIndex { operand: "indices", first, expected: self.legal(), count })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
