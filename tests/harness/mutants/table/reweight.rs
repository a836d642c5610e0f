//! Faults of re-weighted weights.

use super::super::Row;

const MEASURE_ROWS: &str = "attention/measure_rows.wgsl";
const MEASURES: &str = "attention/measures.wgsl";
const RAISED: &str = "attention/raised.wgsl";
const WEIGHT: &str = "attention/weight/reweighted.wgsl";
const LEVELS: &str = "attention/backward_levels.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "mean_over_hidden_keys",
        MEASURE_ROWS,
        "hidden keys count in the mean",
        "let seen = select(vec4(1.0), vec4(0.0), hidden);",
        "let seen = vec4(1.0);",
        "attention",
        &["re-weighted"],
    ),
    (
        "measure_of_the_last_dispatch",
        MEASURE_ROWS,
        "the largest weight is lost between two dispatches",
        "row_peaks[r] = side_f32(words + r * 3u + 2u);",
        "row_peaks[r] = 0.0;",
        "attention",
        &["re-weighted, cross", "split"],
    ),
    (
        "level_of_the_last_dispatch",
        LEVELS,
        "the sum is lost between two dispatches",
        "row_sums[r] = side_f32(words + r * 2u);",
        "row_sums[r] = 0.0;",
        "attention_backward",
        &["re-weighted, cross", "split"],
    ),
    (
        "offset_in_the_first_rows",
        MEASURES,
        "the first rows are not free of the offset",
        "select(params.offset, 0.0, position < i32(params.offset_rows))",
        "params.offset",
        "",
        &["re-weighted, causal"],
    ),
    (
        "first_rows_of_the_call",
        MEASURES,
        "the first queries of a call are taken for the first of their sequence",
        "i32(i) + select(at.off, 0, params.top_left == 1u)",
        "i32(i)",
        "attention",
        &["re-weighted, few queries"],
    ),
    (
        "largest_does_not_cancel",
        MEASURES,
        "weights are measured by the mean alone: powers overflow, and the row's sum is another",
        "vec2(cut, 1.0 / span)",
        "vec2(cut, 1.0 / mean)",
        "attention",
        &["re-weighted", "\"row_sum\":true"],
    ),
    (
        "even_rows_are_nothing",
        MEASURES,
        "rows whose keys are alike have no weights",
        "vec2(0.0, -1.0 / largest)",
        "vec2(0.0)",
        "",
        &["all even"],
    ),
    (
        "power_one_less",
        RAISED,
        "one factor too few",
        "select(power4(u, POWER), u,",
        "select(power4(u, POWER - 1u), u,",
        "",
        &[".reweight"],
    ),
    (
        "measured_slope_one_more",
        WEIGHT,
        "the slope has a factor too many",
        "power4(u, POWER - 1u).x",
        "power4(u, POWER).x",
        "attention_backward",
        &[".reweight"],
    ),
    (
        "mean_detached",
        WEIGHT,
        "the mean is a constant for the gradient",
        " - statistics.level);",
        ");",
        "attention_backward",
        &["re-weighted"],
    ),
    (
        "level_over_all_keys",
        LEVELS,
        "the level is a mean over keys that the query does not see",
        "/ max(counts[r / 4u][r % 4u], 1.0)",
        "/ f32(params.seq_kv)",
        "attention_backward",
        &["re-weighted", "causal"],
    ),
    (
        "level_without_offset",
        LEVELS,
        "rows free of the offset have a level",
        "offset_of(i) * sums",
        "params.offset * sums",
        "attention_backward",
        &["re-weighted, causal"],
    ),
];
