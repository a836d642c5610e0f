//! The attention's WGSL files.

use gatefold_core::attention::{NanPolicy, Weight};
use gatefold_core::{Attention, Dtype};

use super::tiles::{Schedule, Tile};
use crate::Source;
use crate::source::wgsl;

pub(super) const SHAPE: Source = wgsl!("attention/shape.wgsl");
pub(super) const SCORE: Source = wgsl!("attention/score.wgsl");
pub(super) const DELTA: Source = wgsl!("attention/delta.wgsl");
pub(super) const BACKWARD_QUERY: Source = wgsl!("attention/backward_query.wgsl");
pub(super) const BACKWARD_KEY_VALUE: Source = wgsl!("attention/backward_key_value.wgsl");
pub(super) const BACKWARD_SCORE_BIAS: Source = wgsl!("attention/backward_score_bias.wgsl");
pub(super) const REDUCE_ROWS: Source = wgsl!("attention/reduce_rows.wgsl");
pub(super) const SCAN: Source = wgsl!("attention/scan.wgsl");
pub(super) const ANY_FLAG: Source = wgsl!("attention/any_flag.wgsl");
pub(super) const MARK_QUERY: Source = wgsl!("attention/mark_query.wgsl");
pub(super) const MARK_KEY: Source = wgsl!("attention/mark_key.wgsl");
pub(super) const MARK_SCORE_BIAS: Source = wgsl!("attention/mark_score_bias.wgsl");
pub(super) const MARK_PAIR: Source = wgsl!("attention/mark/pair.wgsl");
pub(super) const MARK_OUTPUT: Source = wgsl!("attention/mark/output.wgsl");
pub(super) const MARK_GRADIENT: Source = wgsl!("attention/mark/gradient.wgsl");
pub(super) const SCAN_QUERY: Source = wgsl!("attention/scan/query.wgsl");
pub(super) const SCAN_QUERY_GRADIENT: Source = wgsl!("attention/scan/query_gradient.wgsl");
pub(super) const SCAN_KEY: Source = wgsl!("attention/scan/key.wgsl");
pub(super) const REDUCE_KEYS: Source = wgsl!("attention/reduce_keys.wgsl");

pub(super) fn forward(tile: &Tile) -> Source {
    match tile.schedule {
        Schedule::Matrix(_) => wgsl!("attention/forward_matrix.wgsl"),
        _ => wgsl!("attention/forward.wgsl"),
    }
}

/// Which operands own and which stream: in the forward pass, in gradients by query, in gradients by key.
pub(super) const ACCESS_FORWARD: [Source; 2] =
    [wgsl!("attention/access/own_query.wgsl"), wgsl!("attention/access/stream_keys.wgsl")];
pub(super) const ACCESS_BY_QUERY: [Source; 2] =
    [wgsl!("attention/access/own_queries.wgsl"), wgsl!("attention/access/stream_keys.wgsl")];
pub(super) const ACCESS_BY_KEY: [Source; 2] =
    [wgsl!("attention/access/own_keys.wgsl"), wgsl!("attention/access/stream_queries.wgsl")];

pub(super) fn schedule(tile: &Tile) -> Source {
    match tile.schedule {
        Schedule::Matrix(_) => wgsl!("attention/schedule/matrix.wgsl"),
        Schedule::Lanes => wgsl!("attention/schedule/lanes.wgsl"),
        Schedule::MicroTile | Schedule::SmallMicroTile => wgsl!("attention/schedule/micro_tile.wgsl"),
    }
}

pub(super) fn row(weight: Weight, tile: &Tile) -> Source {
    match (weight, tile.schedule) {
        (Weight::Softmax, Schedule::Matrix(_)) => wgsl!("attention/row_matrix/softmax.wgsl"),
        (Weight::Sigmoid, Schedule::Matrix(_)) => wgsl!("attention/row_matrix/sigmoid.wgsl"),
        (Weight::Softmax, _) => wgsl!("attention/row/softmax.wgsl"),
        (Weight::Sigmoid, _) => wgsl!("attention/row/sigmoid.wgsl"),
    }
}

/// How matrix tiles form scores: the softmax's `lse` and its distance from a maximum want them as they are.
pub(super) fn score_matrix(a: &Attention, tile: &Tile) -> Option<Source> {
    let is_plain = a.softcap.is_none() && bias(a).1.is_empty();
    let source = match a.weight {
        Weight::Sigmoid if is_plain => wgsl!("attention/score_matrix/binary.wgsl"),
        _ => wgsl!("attention/score_matrix/natural.wgsl"),
    };
    matches!(tile.schedule, Schedule::Matrix(_)).then_some(source)
}

pub(super) fn weight(weight: Weight) -> Source {
    match weight {
        Weight::Softmax => wgsl!("attention/weight/softmax.wgsl"),
        Weight::Sigmoid => wgsl!("attention/weight/sigmoid.wgsl"),
    }
}

pub(super) fn softcap(a: &Attention) -> (Source, &'static str) {
    match a.softcap {
        None => (wgsl!("attention/softcap/none.wgsl"), ""),
        Some(_) => (wgsl!("attention/softcap/tanh.wgsl"), ".softcap"),
    }
}

pub(super) fn bias(a: &Attention) -> (Source, &'static str) {
    if a.score_bias.is_some() {
        (wgsl!("attention/bias/dense.wgsl"), ".score_bias")
    } else if a.key_bias || a.alibi {
        (wgsl!("attention/bias/positional.wgsl"), ".positional")
    } else {
        (wgsl!("attention/bias/none.wgsl"), "")
    }
}

pub(super) fn finite(a: &Attention) -> (Source, &'static str) {
    match a.nan_policy {
        NanPolicy::Exact => (wgsl!("attention/finite/exact.wgsl"), ""),
        NanPolicy::Trust => (wgsl!("attention/finite/trust.wgsl"), ".trust"),
    }
}

pub(super) fn lse(wanted: bool) -> (Source, &'static str) {
    if wanted { (wgsl!("attention/lse/store.wgsl"), ".lse") } else { (wgsl!("attention/lse/none.wgsl"), "") }
}

pub(super) fn carry(passes: usize, tile: &Tile) -> (Source, &'static str) {
    match (passes > 1, tile.schedule) {
        (false, Schedule::Matrix(_)) => (wgsl!("attention/carry_matrix/none.wgsl"), ""),
        (true, Schedule::Matrix(_)) => (wgsl!("attention/carry_matrix/side.wgsl"), ".carry"),
        (false, _) => (wgsl!("attention/carry/none.wgsl"), ""),
        (true, _) => (wgsl!("attention/carry/side.wgsl"), ".carry"),
    }
}

pub(super) fn d_lse(given: bool) -> (Source, &'static str) {
    if given { (wgsl!("attention/d_lse/given.wgsl"), ".d_lse") } else { (wgsl!("attention/d_lse/none.wgsl"), "") }
}

pub(super) fn sums(rows: bool, keys: bool) -> (Source, &'static str) {
    if rows {
        (wgsl!("attention/sums/rows.wgsl"), ".sums")
    } else if keys {
        (wgsl!("attention/sums/keys.wgsl"), ".sums")
    } else {
        (wgsl!("attention/sums/none.wgsl"), "")
    }
}

/// Load and store files: vec4 where both widths allow it.
pub(super) fn io(a: &Attention) -> (Source, Source, &'static str) {
    if a.dims.head_dim.is_multiple_of(4) && a.dims.val_dim.is_multiple_of(4) {
        (wgsl!("attention/io/load_vec4.wgsl"), wgsl!("attention/io/store_vec4.wgsl"), "vec4")
    } else {
        (wgsl!("attention/io/load_scalar.wgsl"), wgsl!("attention/io/store_scalar.wgsl"), "scalar")
    }
}

/// Reduction files by the gradient they write.
pub(super) fn reduction(output: &'static str) -> Source {
    match output {
        "d_head_bias" => wgsl!("attention/reduction/head_bias.wgsl"),
        "d_alibi_slopes" => wgsl!("attention/reduction/alibi.wgsl"),
        "d_sink" => wgsl!("attention/reduction/sink.wgsl"),
        _ => wgsl!("attention/reduction/bias.wgsl"),
    }
}

/// The alias of the storage type.
pub(super) fn elem(dtype: Dtype) -> (&'static str, &'static str) {
    ("Elem", crate::plan::wgsl_type(dtype))
}
