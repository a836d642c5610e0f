//! Plans by spec: made once, found again without an allocation.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex};

use gatefold_core::Op;
use gatefold_shaders::Plan;

use crate::signal::lock;

/// Specs whose plans are kept. Looked through one by one, so not many.
const KEPT: usize = 32;

struct Known {
    spec: Box<dyn Any + Send + Sync>,
    plan: Arc<Plan>,
}

/// Plans of one device. The limits they were made for never change.
#[derive(Default)]
pub(crate) struct Plans {
    known: Mutex<(Vec<Known>, usize)>,
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plans({})", lock(&self.known).0.len())
    }
}

impl Plans {
    /// The plan of an equal spec.
    pub(crate) fn get<O: Op>(&self, op: &O) -> Option<Arc<Plan>> {
        let known = lock(&self.known);
        known.0.iter().find(|k| k.spec.downcast_ref::<O>() == Some(op)).map(|k| Arc::clone(&k.plan))
    }

    /// Keeps a plan; beyond [`KEPT`] the oldest goes.
    pub(crate) fn keep<O: Op>(&self, op: &O, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        let new = Known { spec: Box::new(op.clone()), plan: Arc::clone(&plan) };
        let mut known = lock(&self.known);
        let (all, oldest) = &mut *known;
        if all.len() < KEPT {
            all.push(new);
        } else {
            all[*oldest] = new;
            *oldest = (*oldest + 1) % KEPT;
        }
        plan
    }
}
