//! The plan of a layer's gradient: its experts' rows once more, then every stage's gradient in reverse.

use gatefold_core::{ExpertActivationBackward, Moe, MoeBackward, Op};

use super::elementwise::add;
use super::moe::Layer;
use crate::compose::{Stages, staged};
use crate::{Kernels, Limits, Plan, PlanError};

impl Kernels for MoeBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut stages = Stages::new(Self::NAME, self.operands(), limits);
        let (op, router) = (&self.forward, &self.forward.router);
        if router.gate.tokens == 0 {
            return Ok(stages.finish(Some("no tokens: nothing to run".into())));
        }
        let layer = Layer::new(op);
        layer.experts(&mut stages)?;
        let d_combine = layer.combine(true).backward();
        let row_maps = [("inverse", staged("plan", "inverse")), ("permutation", staged("plan", "permutation"))];
        stages.add("d_combine", &d_combine, &[("y", staged("down", "y")), row_maps[0], row_maps[1]])?;
        experts(op, &layer, &mut stages)?;
        let sum = [("y", staged("d_rows", "y")), row_maps[0], ("o", staged("experts", "d_x"))];
        stages.add("experts", &layer.combine(false), &sum)?;
        let d_x = staged("router", "d_x");
        let d_weights = staged("d_combine", "d_weights");
        stages.add("router", &self.router(), &[("d_weights", d_weights), ("d_x", d_x)])?;
        let elements = router.gate.tokens as u64 * router.hidden as u64;
        let stored = |name| (name, router.dtype);
        stages.push(add([stored(staged("experts", "d_x")), stored(d_x)], stored("d_x"), elements, limits)?, None);
        Ok(stages.finish(None))
    }
}

/// From `d_combine.d_y` to the experts' gradients and the rows `d_rows.y`.
fn experts(op: &Moe, layer: &Layer<'_>, stages: &mut Stages<'_>) -> Result<(), PlanError> {
    let offsets = ("offsets", staged("plan", "offsets"));
    let d_y = staged("d_combine", "d_y");
    let of_down = [("x", staged("act", "y")), ("d_y", d_y), offsets, ("d_w", "d_w_down"), ("d_bias", "d_b_down")];
    stages.add("d_down", &layer.down().gradient_w(), &of_down)?;
    stages.add("d_a", &layer.down().gradient_x(), &[("x", d_y), ("w", "w_down"), offsets])?;
    let activation = ExpertActivationBackward { forward: op.activation() };
    stages.add("d_act", &activation, &[("h", staged("up", "y")), ("d_y", staged("d_a", "y"))])?;
    let d_h = staged("d_act", "d_h");
    let of_up = [("x", staged("dispatch", "y")), ("d_y", d_h), offsets, ("d_w", "d_w_up"), ("d_bias", "d_b_up")];
    stages.add("d_up", &layer.up().gradient_w(), &of_up)?;
    stages.add("d_rows", &layer.up().gradient_x(), &[("x", d_h), ("w", "w_up"), offsets])
}
