//! The planted faults: name, target, fault, text, replacement, op, words in the case's description.

mod affine;
mod backward;
mod cache;
mod combine;
mod custom;
mod decode;
mod diagnostics;
mod dispatch;
mod dropout;
mod expert_activation;
mod expert_choice;
mod feature_map;
mod forward;
mod gemm;
mod global;
mod grouped;
mod local_linear;
mod losses;
mod masks;
mod matrix;
mod merge;
mod moe;
mod relative;
mod reweight;
mod rotary;
mod routing_plan;
mod rows;
mod rowwise;
mod sinks;
mod slots;
mod storage;
mod top_k;
mod top_k_gate;
mod top_k_gate_backward;
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
    top_k_gate::ALL,
    top_k_gate_backward::ALL,
    routing_plan::COUNTS,
    routing_plan::PLACES,
    dispatch::ALL,
    combine::ALL,
    grouped::ALL,
    expert_activation::ALL,
    moe::ALL,
    expert_choice::ALL,
    top_k::ALL,
    losses::ALL,
];

/// Every fault.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    ALL.iter().copied().flatten()
}
