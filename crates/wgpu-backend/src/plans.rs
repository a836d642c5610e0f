//! Plans by spec: made once, found again without an allocation; and the tiles chosen for them.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex};

use gatefold_core::Op;
use gatefold_shaders::{Choices, Plan};

use crate::signal::lock;

/// Specs whose plans are kept. Looked through one by one, so not many.
const KEPT: usize = 32;

struct Known {
    spec: Box<dyn Any + Send + Sync>,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct State {
    known: Vec<Known>,
    oldest: usize,
    choices: Choices,
    /// How often the choices were replaced: a plan made before is not kept after.
    version: u64,
}

/// Plans of one device. Of the limits they were made for, only the choices ever change.
#[derive(Default)]
pub(crate) struct Plans(Mutex<State>);

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plans({})", lock(&self.0).known.len())
    }
}

impl Plans {
    /// The plan of an equal spec.
    pub(crate) fn get<O: Op>(&self, op: &O) -> Option<Arc<Plan>> {
        let state = lock(&self.0);
        state.known.iter().find(|k| k.spec.downcast_ref::<O>() == Some(op)).map(|k| Arc::clone(&k.plan))
    }

    /// The choices in force, and their version.
    pub(crate) fn choices(&self) -> (Choices, u64) {
        let state = lock(&self.0);
        (state.choices.clone(), state.version)
    }

    /// Replaces the choices. Plans made with the old ones are forgotten.
    pub(crate) fn choose(&self, choices: Choices) {
        let mut state = lock(&self.0);
        if state.choices != choices {
            *state = State { choices, version: state.version + 1, ..State::default() };
        }
    }

    /// Keeps a plan made with the choices of that version, if they are still in force; beyond [`KEPT`] the oldest goes.
    pub(crate) fn keep<O: Op>(&self, op: &O, plan: Plan, version: u64) -> Arc<Plan> {
        let plan = Arc::new(plan);
        let new = Known { spec: Box::new(op.clone()), plan: Arc::clone(&plan) };
        let mut state = lock(&self.0);
        if state.version != version {
            return plan;
        }
        if state.known.len() < KEPT {
            state.known.push(new);
        } else {
            let oldest = state.oldest;
            state.known[oldest] = new;
            state.oldest = (oldest + 1) % KEPT;
        }
        plan
    }
}
