//! Plans of a mixture of experts: the plans of its stages, one after another. Grids are sized for the most rows that a plan can have, so nothing is
//! read back between a stage and the next.

use gatefold_core::{GroupedGemm, Moe, MoeCombine, MoeDispatch, Op};

use super::decode;
use crate::compose::{Stages, staged};
use crate::{Kernels, Limits, Plan, PlanError};

/// The ops of a layer's stages.
pub(super) struct Layer<'a> {
    pub(super) op: &'a Moe,
    rows: usize,
}

impl<'a> Layer<'a> {
    pub(super) fn new(op: &'a Moe) -> Self {
        Self { op, rows: op.routing_plan().rows() }
    }

    fn dispatch(&self) -> MoeDispatch {
        let (gate, hidden) = (&self.op.router.gate, self.op.router.hidden);
        MoeDispatch { dtype: self.op.router.dtype, ..MoeDispatch::new(gate.tokens, gate.top_k, hidden, self.rows) }
    }

    pub(super) fn combine(&self, weighted: bool) -> MoeCombine {
        let (gate, hidden) = (&self.op.router.gate, self.op.router.hidden);
        let combine = MoeCombine::new(gate.tokens, gate.top_k, hidden, self.rows);
        MoeCombine { dtype: self.op.router.dtype, weighted, ..combine }
    }

    /// A product of the experts: `rows × k` by `k × n` each.
    fn product(&self, n: usize, k: usize) -> GroupedGemm {
        let (experts, dtype) = (self.op.router.gate.experts, self.op.router.dtype);
        GroupedGemm { bias: self.op.bias, dtype, ..GroupedGemm::new(experts, self.rows, n, k) }
    }

    /// The experts' first product.
    pub(super) fn up(&self) -> GroupedGemm {
        self.product(self.op.up(), self.op.router.hidden)
    }

    /// Their second.
    pub(super) fn down(&self) -> GroupedGemm {
        self.product(self.op.router.hidden, self.op.width)
    }

    fn plan(&self, stages: &mut Stages<'_>) -> Result<(), PlanError> {
        stages.add("plan", &self.op.routing_plan(), &[("rejected", staged("plan", "rejected"))])
    }

    /// From the router's indices to the rows `dispatch.y`, `up.y`, `act.y` and `down.y`.
    pub(super) fn experts(&self, stages: &mut Stages<'_>) -> Result<(), PlanError> {
        let op = self.op;
        let offsets = ("offsets", staged("plan", "offsets"));
        self.plan(stages)?;
        stages.add("dispatch", &self.dispatch(), &[("permutation", staged("plan", "permutation"))])?;
        let up = [("x", staged("dispatch", "y")), ("w", "w_up"), ("bias", "b_up"), offsets];
        stages.add("up", &self.up(), &up)?;
        stages.add("act", &op.activation(), &[("h", staged("up", "y"))])?;
        let down = [("x", staged("act", "y")), ("w", "w_down"), ("bias", "b_down"), offsets];
        stages.add("down", &self.down(), &down)
    }
}

impl Kernels for Moe {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut stages = Stages::new(Self::NAME, self.operands(), limits);
        stages.add("router", &self.router, &[])?;
        if self.router.gate.tokens == 0 {
            if self.counts {
                Layer::new(self).plan(&mut stages)?;
            }
            return Ok(stages.finish(Some("no tokens: no experts".into())));
        }
        match decode::Decode::choose(self, limits) {
            Ok(few) => {
                few.add(&mut stages);
                Ok(stages.finish(Some("few assignments: an expert's product for each, without a plan".into())))
            }
            Err(why) => {
                let layer = Layer::new(self);
                layer.experts(&mut stages)?;
                let combine = [("y", staged("down", "y")), ("inverse", staged("plan", "inverse"))];
                stages.add("combine", &layer.combine(true), &combine)?;
                Ok(stages.finish(Some(format!("dispatch by a plan: {why}"))))
            }
        }
    }
}
