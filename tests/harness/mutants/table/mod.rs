//! The planted faults: name, target, fault, text, replacement, op, words in the case's description.

mod backward;
mod forward;
mod gemm;
mod matrix;
mod rowwise;
mod slots;

use super::Row;

/// Every fault.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [forward::KERNELS, forward::SCHEDULES, backward::ALL, slots::ALL, rowwise::ALL, gemm::ALL, matrix::ALL]
        .into_iter()
        .flatten()
}
