//! Faults of the normaliser of whole heads.

use super::super::Row;

pub(super) const ALL: &[Row] = &[
    (
        "head_norm_of_sums",
        "attention/normalizer/global_frobenius.wgsl",
        "weights are summed, not their squares",
        "return a * a;",
        "return a;",
        "attention",
        &["whole heads", "!degenerate;"],
    ),
    (
        "row_norm_left",
        "attention/global/scale_rows.wgsl",
        "rows stay divided by their own norms",
        "row_norm(row_sum[row.stat]) * head_share",
        "head_share",
        "attention",
        &["whole heads", "!one pair"],
    ),
    (
        "head_nan_stays_in_its_row",
        "attention/global/scale_rows.wgsl",
        "a head with a NaN keeps numbers in its other rows",
        "let broken = is_not_finite(head_bits(SQUARES));",
        "let broken = false;",
        "attention",
        &["whole heads, NanKey"],
    ),
    (
        "last_row_not_in_the_norm",
        "attention/reduction/head_squares.wgsl",
        "the last row of a sequence is not in the norm",
        "let there = n < at.len_q;",
        "let there = n + 1u < at.len_q;",
        "attention",
        &["whole heads", "!degenerate;"],
    ),
    (
        "head_correction_left_out",
        "attention/weight/global.wgsl",
        "the norm is a constant for the gradient",
        "(d_p * statistics.x - phi4(safe).x * statistics.y)",
        "(d_p * statistics.x)",
        "attention_backward",
        &["whole heads"],
    ),
    (
        "head_delta_of_one_entry",
        "attention/reduction/rho.wgsl",
        "d_rho has the first batch entry only",
        "(n * params.q_heads + head)",
        "head",
        "attention_backward",
        &["whole heads, causal"],
    ),
];
