//! Sinks: what takes part in softmax's row sum, carries no value, and is seen by every query.

use super::{Attention, NO_SOFTMAX, Weight};
use crate::{Dtype, Operand, SpecError};

impl Attention {
    /// The sink's operand, whose shape its gradient shares.
    fn sink_operand(&self) -> Option<(&'static str, &'static str, Vec<usize>)> {
        let d = &self.dims;
        let logit = self.sink.then(|| ("sink", "d_sink", vec![d.q_heads]));
        logit.or_else(|| self.sink_key.then(|| ("sink_key", "d_sink_key", vec![d.kv_heads, d.head_dim])))
    }

    pub(super) fn sink_input(&self) -> Option<Operand> {
        self.sink_operand().map(|(name, _, dims)| Operand::input(name, dims, Dtype::F32))
    }

    pub(super) fn sink_gradient(&self) -> Option<Operand> {
        self.sink_operand().map(|(_, gradient, dims)| Operand::output(gradient, dims, Dtype::F32))
    }

    pub(super) fn check_sink(&self) -> Result<(), SpecError> {
        let conflict = |option, with, reason| Err(SpecError::Conflict { option, with, reason });
        match (self.weight, self.sink, self.sink_key) {
            (_, true, true) => conflict("sink_key", "sink", "a row has one sink, a logit or a key"),
            (Weight::Softmax, _, _) | (_, false, false) => Ok(()),
            (_, true, _) => conflict("sink", NO_SOFTMAX, "a sink logit takes part in softmax's row sum"),
            (_, _, true) => conflict("sink_key", NO_SOFTMAX, "a sink key takes part in softmax's row sum"),
        }
    }
}
