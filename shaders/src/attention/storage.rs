//! Keys and values in int8: where their scales are read.

use gatefold_core::attention::Scales;
use gatefold_core::{Attention, Op, Operand};

use super::layout::operand_bytes;
use super::split::Parted;
use crate::Source;
use crate::source::wgsl;

/// The scales' operands.
const OPERANDS: [&str; 2] = ["k_scale", "v_scale"];

/// Whether scales have bindings of their own: those of a cache are too many to copy. Beside a score bias there is no binding left for them.
fn are_bound(a: &Attention) -> bool {
    a.storage.scales() == Some(Scales::PerToken) && a.score_bias.is_none()
}

/// How many bindings the scales take.
pub(super) fn bindings(a: &Attention) -> usize {
    if are_bound(a) { OPERANDS.len() } else { 0 }
}

/// The file that finds a row's scale, and its part of a variant's name.
pub(super) fn scale(a: &Attention) -> Option<(Source, &'static str)> {
    a.storage.scales().map(|scales| match scales {
        Scales::PerHead => (wgsl!("attention/scale/per_head.wgsl"), "int8_per_head"),
        Scales::PerToken if are_bound(a) => (wgsl!("attention/scale/per_token.wgsl"), "int8_per_token"),
        Scales::PerToken => (wgsl!("attention/scale/per_token_side.wgsl"), "int8_per_token_side"),
    })
}

/// The operands of which small ones may lie in `side`: all but scales with bindings of their own.
pub(super) fn beside_scales(a: &Attention) -> Vec<Operand> {
    let bound = are_bound(a);
    a.operands().into_iter().filter(|o| !(bound && OPERANDS.contains(&o.name))).collect()
}

/// Scales with bindings of their own; a unit has this many rows of keys.
pub(super) fn scales<O: Op>(a: &Attention, op: &O, unit_rows: u64) -> Vec<Parted> {
    let part = |operand| Parted {
        operand,
        shift: "scale_shift",
        bytes: operand_bytes(op, operand),
        unit_bytes: 4 * unit_rows,
        element: 4,
    };
    if are_bound(a) { OPERANDS.map(part).into() } else { Vec::new() }
}
