//! Faults of top-k, and of the selection that expert choice shares with it.

use super::super::Row;

const KEY: &str = "routing/top_k/key.wgsl";
const STORE: &str = "routing/top_k/store.wgsl";
const HALF: &str = "routing/top_k/elements_f16.wgsl";
const HISTOGRAM: &str = "routing/select/histogram.wgsl";
const PICK: &str = "routing/select/pick.wgsl";
const COUNT: &str = "routing/select/count.wgsl";
const COMPACT: &str = "routing/select/compact.wgsl";
const SORT: &str = "routing/select/sort.wgsl";
const ORDER: &str = "routing/select/order.wgsl";
const EXCHANGE: &str = "routing/select/exchange.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "top_k_ties_to_the_last",
        ORDER,
        "of equal elements the last comes first",
        "(a.x == b.x) & (a.y < b.y)",
        "(a.x == b.x) & (a.y > b.y)",
        "top_k",
        &["ties"],
    ),
    ("top_k_ascending", ORDER, "the smallest comes first", "(a.x > b.x)", "(a.x < b.x)", "top_k", &["largest"]),
    ("top_k_nan_first", KEY, "NaN ranks highest", "select(key, 0u,", "select(key, 0xffffffffu,", "top_k", &["special"]),
    (
        "top_k_zeros_differ",
        KEY,
        "-0 ranks below +0",
        "MIDDLE - magnitude,",
        "MIDDLE - magnitude - 1u,",
        "top_k",
        &["special"],
    ),
    (
        "top_k_smallest_is_largest",
        KEY,
        "the direction is not looked at",
        "(FALLS == 1u)",
        "true",
        "top_k",
        &["smallest"],
    ),
    ("top_k_half_of_a_word", HALF, "every element is the first of its word", "element % 2u", "0u", "top_k", &[".f16"]),
    (
        "top_k_value_of_another_row",
        STORE,
        "values are those of the first row",
        "store_value(to, row * params.cols + col)",
        "store_value(to, col)",
        "top_k",
        &[],
    ),
    (
        "select_a_digit_lost",
        HISTOGRAM,
        "keys that begin otherwise are counted too",
        "(key & params.mask) == prefix",
        "true",
        "top_k",
        &[],
    ),
    (
        "select_last_column_dropped",
        HISTOGRAM,
        "the last column of a tile is not counted",
        "col < end_col",
        "col + 1u < end_col",
        "top_k",
        &[],
    ),
    (
        "select_bins_not_cleared",
        HISTOGRAM,
        "the bins start from what was there",
        "atomicStore(&bins[d], 0u)",
        "atomicStore(&bins[d], 1u)",
        "top_k",
        &[],
    ),
    (
        "select_one_too_few",
        PICK,
        "the threshold is that of one key less",
        "params.count, params.mask",
        "params.count - 1u, params.mask",
        "top_k",
        &[],
    ),
    (
        "select_remaining_not_reduced",
        PICK,
        "what larger digits have is taken again",
        "remaining -= larger;",
        "",
        "top_k",
        &[],
    ),
    (
        "select_first_tile_only",
        PICK,
        "every tile is the first",
        "(row * params.tiles + tile)",
        "(row * params.tiles)",
        "top_k",
        &[],
    ),
    (
        "select_equal_not_counted",
        COUNT,
        "equal keys of earlier tiles are forgotten",
        "atomicAdd(&equal, own.y);",
        "atomicAdd(&equal, 0u);",
        "top_k",
        &["ties"],
    ),
    (
        "select_equal_taken_with_larger",
        COMPACT,
        "equal keys are taken as if they were larger",
        "if key > threshold {",
        "if key >= threshold {",
        "top_k",
        &[],
    ),
    (
        "select_not_stable",
        COMPACT,
        "equal keys are counted from the workgroup's own first one",
        "next += select_counts[row * params.tiles + earlier];",
        "next.x += select_counts[row * params.tiles + earlier].x;",
        "top_k",
        &["ties"],
    ),
    (
        "select_scan_lacks_a_hop",
        COMPACT,
        "the scan over a workgroup ends a step early",
        "hop < INVOCATIONS;",
        "hop < INVOCATIONS / 2u;",
        "top_k",
        &[],
    ),
    (
        "sort_places_not_filled",
        SORT,
        "places beyond a row's keys hold the highest key",
        "vec2(0u, 0xffffffffu)",
        "vec2(0xffffffffu, 0u)",
        "top_k",
        &[],
    ),
    ("sort_one_direction", SORT, "every stage sorts downwards", "& stage) == 0u", "& 0u) == 0u", "top_k", &[]),
    (
        "exchange_one_direction",
        EXCHANGE,
        "every stage between workgroups sorts downwards",
        "& params.stage) == 0u",
        "& 0u) == 0u",
        "top_k",
        &[],
    ),
];
