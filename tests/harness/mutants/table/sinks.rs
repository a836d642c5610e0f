//! Faults of a sink key.

use super::super::Row;

pub(super) const ALL: &[Row] = &[
    (
        "sink_key_of_the_first_head",
        "attention/sink_key.wgsl",
        "all heads have the first one's key",
        "params.sink_key_at + at.kv_head * params.row_width",
        "params.sink_key_at",
        "attention",
        &["sink key"],
    ),
    (
        "sink_key_uncapped",
        "attention/sink_key.wgsl",
        "the logit of a sink key is not capped",
        "cap(sum * params.scale)",
        "(sum * params.scale)",
        "attention",
        &["sink key", "softcap"],
    ),
    (
        "sink_row_of_the_first_head",
        "attention/shape.wgsl",
        "all heads of a packed tile have the logits of the first",
        "select((at.batch * params.q_heads + at.q_head) * params.seq_q, at.stat_row, params.packed_rows == 1u)",
        "at.stat_row",
        "attention",
        &["sink key, one query"],
    ),
    (
        "sink_key_without_queries",
        "attention/sink_key_backward.wgsl",
        "the gradient of the queries lacks the share of the sink key",
        "before + g * side_f32(key + d)",
        "before",
        "attention_backward",
        &["sink key"],
    ),
    (
        "sink_key_slope_missing",
        "attention/sink_key_backward.wgsl",
        "the derivative of the cap is missing from the sink key's gradient",
        " * cap_gradient(z));",
        ");",
        "attention_backward",
        &["sink key", "softcap"],
    ),
    (
        "sink_key_sums_by_entry",
        "attention/sink_key_sums.wgsl",
        "sums of rows lie by batch entry first, so that heads get each other's",
        "(at.q_head * params.batch + at.batch)",
        "(at.batch * params.q_heads + at.q_head)",
        "attention_backward",
        &["sink key, dense"],
    ),
];
