//! Faults of decoding: packed rows, shares of the keys and their merge.

use super::super::Row;

const SOFTMAX: &str = "attention/row/softmax.wgsl";
const SIGMOID: &str = "attention/row/sigmoid.wgsl";
const PAGED: &str = "attention/keys/paged.wgsl";
const GROUPED: &str = "attention/rows/grouped.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "merge_without_rescale",
        SOFTMAX,
        "a share's part is added as it was left",
        "+ (*part)[r * WIDTH4 + w] * rescale_part;",
        "+ (*part)[r * WIDTH4 + w];",
        "attention",
        &["shares of attention_forward"],
    ),
    (
        "merge_of_sums_lost",
        SOFTMAX,
        "a share's sum is not added",
        "row_sum[r] * rescale + side_f32(word + r * 2u + 1u) * rescale_part;",
        "row_sum[r] * rescale;",
        "attention",
        &["shares of attention_forward"],
    ),
    (
        "sigmoid_share_lost",
        SIGMOID,
        "only the last share counts",
        "(*acc)[w] += (*part)[w];",
        "(*acc)[w] = (*part)[w];",
        "attention",
        &["shares of attention_forward"],
    ),
    (
        "elementwise_share_lost",
        "attention/row/elementwise.wgsl",
        "a share's part of the row's number is not added",
        "row_total[r] += side_f32(word + r);",
        "row_total[r] += 0.0;",
        "attention",
        &["shares of attention_forward", "row_sum"],
    ),
    (
        "sink_in_every_share",
        "attention/share/split.wgsl",
        "the sink takes part once a share",
        "const TAKES_SINK: bool = false;",
        "const TAKES_SINK: bool = true;",
        "attention",
        &["shares of attention_forward", ".sink"],
    ),
    (
        "shares_overlap",
        "attention/share/split.wgsl",
        "shares overlap by a key's tile",
        "return vec2(first, first + params.split_keys);",
        "return vec2(first, first + params.split_keys + 1u);",
        "attention",
        &["shares of attention_forward"],
    ),
    (
        "group_heads_mixed",
        GROUPED,
        "every row has the numbers of the group's first head",
        "+ min(p, row_count() - 1u) / params.seq_q); }",
        "); }",
        "attention",
        &["grouped", "\"head_bias\":true"],
    ),
    (
        "group_query_is_the_row",
        GROUPED,
        "a row's number counts as its query",
        "fn query_of(p: u32) -> u32 { return p % params.seq_q; }",
        "fn query_of(p: u32) -> u32 { return p; }",
        "attention",
        &["grouped"],
    ),
    (
        "group_tile_sees_too_much",
        GROUPED,
        "the first query is taken to see what the last sees",
        "(end_j <= keys_to(0u))",
        "(end_j <= keys_to(max(queries, 1u) - 1u))",
        "attention",
        &["grouped", "!\"causal\":\"none\""],
    ),
    (
        "place_in_page_lost",
        PAGED,
        "every key of a page is its first",
        "* params.page + j % params.page)",
        "* params.page)",
        "attention",
        &["paged"],
    ),
    (
        "table_of_the_first_entry",
        PAGED,
        "every batch entry reads the first one's table",
        "params.table_at + at.batch * params.table_pages + j",
        "params.table_at + j",
        "attention",
        &["paged"],
    ),
];
