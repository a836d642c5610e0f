//! Target 2: valid specs under any limits against the planner.

use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;

use crate::draw::Draw;
use crate::ops::{Visit, visit};
use crate::{limits, plans, specs};

/// A plan keeps every limit, or is refused with both numbers.
pub fn planner(bytes: &[u8]) {
    visit(bytes, Planner);
}

struct Planner;

impl Visit for Planner {
    fn visit<O: Reference + Kernels>(self, mut draw: Draw<'_>) {
        let Some(op) = specs::any::<O>(&mut draw) else { return };
        if op.validate().is_err() {
            return;
        }
        let limits = limits::any(&mut draw, &op);
        let linked = draw.one_in(8);
        match op.plan(&limits) {
            Err(e) => assert!(!e.to_string().is_empty()),
            Ok(plan) => {
                plans::check(&plan, &op.operands(), &limits, linked);
                assert!(op.plan(&limits).as_ref() == Ok(&plan), "{}: another plan the second time", op.label());
                assert!(!plan.to_string().is_empty());
            }
        }
    }
}
