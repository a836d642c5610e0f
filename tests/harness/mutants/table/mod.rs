//! The planted faults: name, target, fault, text, replacement, op, words in the case's description.

mod affine;
mod backward;
mod cache;
mod custom;
mod decode;
mod diagnostics;
mod forward;
mod gemm;
mod global;
mod masks;
mod matrix;
mod merge;
mod rotary;
mod rows;
mod rowwise;
mod slots;
mod weights;

use super::Row;

const ALL: &[&[Row]] = &[
    forward::KERNELS,
    forward::SCHEDULES,
    decode::ALL,
    merge::ALL,
    rotary::ALL,
    cache::ALL,
    diagnostics::ALL,
    backward::ALL,
    slots::ALL,
    weights::ALL,
    custom::ALL,
    masks::ALL,
    rows::ALL,
    affine::ALL,
    global::ALL,
    rowwise::ALL,
    gemm::ALL,
    matrix::ALL,
];

/// Every fault.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    ALL.iter().copied().flatten()
}
