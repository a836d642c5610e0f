//! The planted faults: name, target, fault, text, replacement, op, words in the case's description.

mod affine;
mod backward;
mod cache;
mod custom;
mod decode;
mod diagnostics;
mod dropout;
mod feature_map;
mod forward;
mod gemm;
mod global;
mod local_linear;
mod masks;
mod matrix;
mod merge;
mod relative;
mod reweight;
mod rotary;
mod rows;
mod rowwise;
mod sinks;
mod slots;
mod storage;
mod weights;

use super::Row;

const ALL: &[&[Row]] = &[
    forward::KERNELS,
    forward::SCHEDULES,
    decode::ALL,
    merge::ALL,
    rotary::ALL,
    cache::ALL,
    storage::ALL,
    diagnostics::ALL,
    backward::ALL,
    slots::ALL,
    weights::ALL,
    reweight::ALL,
    local_linear::ALL,
    custom::ALL,
    masks::ALL,
    dropout::ALL,
    rows::ALL,
    feature_map::ALL,
    sinks::ALL,
    relative::ALL,
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
