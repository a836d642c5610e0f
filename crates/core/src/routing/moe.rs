//! The whole layer: router, plan, dispatch, experts, combine.

use serde::{Deserialize, Serialize};

use super::{DropPolicy, ExpertActivation, ExpertFunction, MAX_HIDDEN, Router, RouterInputs, RoutingPlan};
use crate::op::{check_addressable, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// A mixture of experts, from token rows to token rows, in one command buffer: nothing is read back in between.
///
/// ```text
/// weights, indices = router(x)
/// o_t = Σ_j weights_tj · (f(x_t·w_up_e + b_up_e)·w_down_e + b_down_e),   e = indices_tj, where the assignment was kept
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | the router's inputs | as in [`Router`] | |
/// | `w_up` | `[experts, hidden, up]`; `up = 2·width` for gated functions (gate columns first), else `width` | `dtype` |
/// | `b_up` | `[experts, up]`; if `bias` | f32 |
/// | `w_down` | `[experts, width, hidden]` | `dtype` |
/// | `b_down` | `[experts, hidden]`; if `bias` | f32 |
/// | → `o` | `[tokens, hidden]` | `dtype` |
/// | → the router's outputs | as in [`Router`] | |
/// | → `counts` | `[experts]`, tokens per expert before capacity; if `counts` | u32 |
///
/// A dropped assignment adds nothing, and the weights that are left are not renormalised (Switch, GShard). Few assignments (decoding) run without a
/// plan, an expert's product for each. With `dtype` f16, rows between the stages are rounded to f16; logits and weights never are.
///
/// Sources: Shazeer et al. (arXiv 1701.06538); Lepikhin et al., *GShard* (arXiv 2006.16668); Gale et al., *MegaBlocks* (arXiv 2211.15841).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moe {
    /// The gate and its projection; its `dtype` is that of `x`, `o` and the experts' weights.
    pub router: Router,
    /// Width inside an expert, 1 to 65,536.
    pub width: usize,
    /// What stands between an expert's two products.
    pub function: ExpertFunction,
    /// Whether there are inputs `b_up` and `b_down`.
    #[serde(default)]
    pub bias: bool,
    /// Most assignments that an expert takes; the rest are dropped.
    #[serde(default)]
    pub capacity: Option<usize>,
    /// Which are dropped.
    #[serde(default)]
    pub drop: DropPolicy,
    /// Whether there is an output `counts`.
    #[serde(default)]
    pub counts: bool,
}

impl Moe {
    /// Experts of a width behind a router, without bias or capacity.
    pub fn new(router: Router, width: usize, function: ExpertFunction) -> Self {
        Self { router, width, function, bias: false, capacity: None, drop: DropPolicy::default(), counts: false }
    }

    /// Columns of an expert's first product.
    pub fn up(&self) -> usize {
        if self.function.is_gated() { 2 * self.width } else { self.width }
    }

    /// The plan of its assignments.
    pub fn routing_plan(&self) -> RoutingPlan {
        let gate = &self.router.gate;
        let plan = RoutingPlan::new(gate.tokens, gate.top_k, gate.experts);
        RoutingPlan { capacity: self.capacity, drop: self.drop, ..plan }
    }

    /// The function between the products, over the rows of the plan.
    pub fn activation(&self) -> ExpertActivation {
        let activation = ExpertActivation::new(self.function, self.routing_plan().rows(), self.width);
        ExpertActivation { dtype: self.router.dtype, ..activation }
    }

    /// Inputs that only the experts have.
    pub(super) fn expert_operands(&self) -> Vec<Operand> {
        let (experts, hidden, dtype) = (self.router.gate.experts, self.router.hidden, self.router.dtype);
        let mut all = vec![Operand::input("w_up", [experts, hidden, self.up()], dtype)];
        all.extend(self.bias.then(|| Operand::input("b_up", [experts, self.up()], Dtype::F32)));
        all.push(Operand::input("w_down", [experts, self.width, hidden], dtype));
        all.extend(self.bias.then(|| Operand::input("b_down", [experts, hidden], Dtype::F32)));
        all
    }

    /// Checks what is not the router's.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.width == 0 || self.width > MAX_HIDDEN {
            let expected = format!("1 to {MAX_HIDDEN}");
            return Err(SpecError::Dim { dim: "width", expected, given: self.width });
        }
        if self.capacity == Some(0) {
            return Err(SpecError::Dim { dim: "capacity", expected: "at least 1".into(), given: 0 });
        }
        self.routing_plan().validate()?;
        self.activation().validate()
    }

    /// FLOPs of the experts' products, all assignments kept.
    pub(super) fn expert_flops(&self) -> f64 {
        let assignments = self.router.gate.tokens as f64 * self.router.gate.top_k as f64;
        2.0 * assignments * self.router.hidden as f64 * (self.up() + self.width) as f64
    }
}

/// Inputs of [`Moe`].
#[derive(Debug, Clone, Default)]
pub struct MoeInputs {
    /// The router's.
    pub router: RouterInputs,
    /// `[experts, hidden, up]`.
    pub w_up: Tensor,
    /// `[experts, up]`, f32.
    pub b_up: Option<Tensor>,
    /// `[experts, width, hidden]`.
    pub w_down: Tensor,
    /// `[experts, hidden]`, f32.
    pub b_down: Option<Tensor>,
}

impl From<MoeInputs> for Tensors {
    fn from(i: MoeInputs) -> Self {
        let all: Self = i.router.into();
        let all = all.with("w_up", i.w_up).with("w_down", i.w_down);
        all.with_some("b_up", i.b_up).with_some("b_down", i.b_down)
    }
}

/// Outputs of [`Moe`].
#[derive(Debug, Clone)]
pub struct MoeOutputs {
    /// `[tokens, hidden]`.
    pub o: Tensor,
    /// `[experts]`, u32.
    pub counts: Option<Tensor>,
    /// The router's.
    pub router: super::RouterOutputs,
}

impl From<Tensors> for MoeOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { o: t.take("o").unwrap_or_default(), counts: t.take("counts"), router: t.into() }
    }
}

impl Op for Moe {
    const NAME: &'static str = "moe";
    type Inputs = MoeInputs;
    type Outputs = MoeOutputs;

    fn operands(&self) -> Vec<Operand> {
        let (inputs, outputs): (Vec<_>, Vec<_>) = self.router.operands().into_iter().partition(|o| o.role.is_given());
        let mut all = inputs;
        all.extend(self.expert_operands());
        all.push(Operand::output("o", [self.router.gate.tokens, self.router.hidden], self.router.dtype));
        all.extend(outputs);
        all.extend(self.counts.then(|| Operand::output("counts", [self.router.gate.experts], Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        self.router.validate()?;
        self.check()?;
        check_addressable(&self.operands())
    }

    /// FLOPs: the router's, and the experts' products with all assignments kept.
    fn cost(&self) -> Cost {
        let flops = self.router.cost().flops + self.expert_flops();
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let mut parts = vec![self.router.gate.label(), self.function.name().into()];
        parts.extend(self.bias.then(|| "bias".into()));
        parts.extend(self.capacity.map(|_| "capacity".into()));
        parts.extend(self.counts.then(|| "counts".into()));
        parts.push(self.router.dtype.to_string());
        parts.join(".")
    }

    fn size_label(&self) -> String {
        format!("{} F{}", self.router.size_label(), self.width)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.router.check_values(inputs)
    }

    fn check_outputs(&self, outputs: &Tensors) -> Result<(), SpecError> {
        self.router.check_outputs(outputs)
    }
}
