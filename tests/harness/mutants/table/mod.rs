//! The planted faults that are replacements: name, target, fault, text, replacement, op, words in the case's description.

mod backward;
mod forward;
mod rowwise;

use super::Row;

/// Every replacement.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [forward::KERNELS, forward::SCHEDULES, backward::ALL, rowwise::ALL].into_iter().flatten()
}
