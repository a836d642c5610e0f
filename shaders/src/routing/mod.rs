//! Plans and kernels of routing.

mod combine;
mod decode;
mod dispatch;
mod elementwise;
mod expert_activation;
mod expert_choice;
mod losses;
mod moe;
mod moe_backward;
mod plan;
mod radix;
mod rejected;
mod router;
mod rows;
mod select;
mod selection_bias;
mod top_k;
mod top_k_gate;
mod top_k_gate_backward;
mod top_k_gate_files;

use crate::{Limits, PlanError, Scratch};

/// Refuses scratch that a dispatch cannot bind in full.
pub(crate) fn check_scratch(scratch: &[Scratch], limits: &Limits) -> Result<(), PlanError> {
    match scratch.iter().find(|s| s.bytes > limits.binding_bytes) {
        None => Ok(()),
        Some(s) => Err(PlanError::TooLarge { operand: s.name.into(), need: s.bytes, have: limits.binding_bytes }),
    }
}
