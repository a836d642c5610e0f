//! Faults of dropout.

use super::super::Row;

const COUNTER: &str = "attention/dropout/counter.wgsl";
const WEIGHTS: &str = "attention/dropout/weights.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "dropout_keeps_weights_as_they_are",
        COUNTER,
        "what is kept is not made larger",
        "x * params.keep_scale",
        "x",
        "",
        &["dropout, another seed"],
    ),
    (
        "dropout_of_the_first_batch_entry",
        COUNTER,
        "every batch entry has the mask of the first",
        "at.batch * params.q_heads + at.q_head",
        "at.q_head",
        "",
        &["dropout, another seed"],
    ),
    (
        "dropout_of_key_heads",
        COUNTER,
        "query heads that share keys have one mask",
        "params.q_heads + at.q_head",
        "params.q_heads + at.kv_head",
        "",
        &["dropout, sigmoid"],
    ),
    (
        "dropout_by_half_a_seed",
        COUNTER,
        "only half of the seed counts",
        "params.seed_high)",
        "0u)",
        "",
        &["dropout, another seed"],
    ),
    (
        "dropout_by_bytes",
        COUNTER,
        "the probability is rounded to a multiple of 1/256",
        "word < params.drop_below",
        "word >> 24u < params.drop_below >> 24u",
        "",
        &["dropout of most"],
    ),
    (
        "dropout_of_the_tiles_first_head",
        WEIGHTS,
        "rows of a group have the mask of one head",
        "        enter_head_of(own_position(r));\n",
        "",
        "attention",
        &["dropout, few queries", "grouped"],
    ),
    (
        "dropout_of_places_in_a_tile",
        WEIGHTS,
        "packed rows have the mask of their place in the tile",
        "query_of(own_position(r))",
        "own_position(r)",
        "attention",
        &["dropout, few queries", "grouped"],
    ),
    (
        "dropout_left_out_of_values_gradient",
        "attention/backward_key_value.wgsl",
        "the gradient of v takes weights that were dropped",
        "= dropped(p, drop, j);\n                    (*d_scores)[r * STREAM4 + c][e] = dz * ",
        "= p;\n                    (*d_scores)[r * STREAM4 + c][e] = dz * ",
        "attention_backward",
        &["dropout, another seed"],
    ),
    (
        "dropout_left_out_of_score_gradient",
        "attention/backward_query.wgsl",
        "the gradient of a weight that was dropped reaches its query",
        "weight_seen(z, statistics), d_p, statistics)",
        "weight_seen(z, statistics), (*d_scores)[r * STREAM4 + c][e], statistics)",
        "attention_backward",
        &["dropout, another seed"],
    ),
    (
        "dropout_left_out_of_bias_gradient",
        "attention/backward_score_bias.wgsl",
        "the gradient of a weight that was dropped reaches its bias",
        "weight(z, statistics), d_p, statistics)",
        "weight(z, statistics), d_scores[r * STREAM4 + c][e], statistics)",
        "attention_backward",
        &["dropout, score bias"],
    ),
];
