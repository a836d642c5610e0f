//! The planted faults: name, target, fault, text, replacement, op, words in the case's description.

mod backward;
mod forward;
mod gemm;
mod rowwise;
mod slots;
mod weights;

use super::Row;

/// Every fault.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [forward::KERNELS, forward::SCHEDULES, backward::ALL, slots::ALL, weights::ALL, rowwise::ALL, gemm::ALL]
        .into_iter()
        .flatten()
}
