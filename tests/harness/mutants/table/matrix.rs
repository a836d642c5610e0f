//! Faults of the schedules in matrix units: reached only where the adapter has some.

use super::super::Row;

const PRODUCT: &str = "gemm/schedule/matrix.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "matrix_product_last_step_as_whole",
        PRODUCT,
        "terms beyond the last one count",
        "if first + DEPTH <= params.k_to {",
        "if first < params.k_to {",
        "gemm",
        &[],
    ),
    (
        "matrix_product_right_not_turned",
        PRODUCT,
        "columns of op(b) are multiplied as rows",
        "coopLoad<Right>(",
        "coopLoadT<Right>(",
        "gemm",
        &[],
    ),
    (
        "matrix_product_block_not_turned",
        PRODUCT,
        "four terms of four rows are taken for four rows of four terms",
        "let rows = turned(block);",
        "let rows = block;",
        "gemm",
        &[],
    ),
    (
        "matrix_product_terms_twice",
        PRODUCT,
        "rows meet the first terms of a step again, columns all",
        "&left_tile[r * EDGE * DEPTH_STRIDE4 + d * EDGE4]",
        "&left_tile[r * EDGE * DEPTH_STRIDE4 + 0u * d]",
        "gemm",
        &[],
    ),
    (
        "matrix_product_sums_mixed",
        PRODUCT,
        "every matrix of a row goes on from the first one's sums",
        "right, sums[r * COL_PARTS + c]);",
        "right, sums[r * COL_PARTS]);",
        "gemm",
        &[],
    ),
    (
        "matrix_product_sums_over_each_other",
        PRODUCT,
        "matrices of a row are stored in one place",
        "&sum_tile[c * EDGE4]",
        "&sum_tile[c * 0u]",
        "gemm",
        &[],
    ),
    (
        "matrix_product_columns_of_one_quad",
        PRODUCT,
        "every invocation stores the first columns",
        "return at.col + quad_lane * 4u;",
        "return at.col;",
        "gemm",
        &[],
    ),
    (
        "matrix_product_waiting_sums_lost",
        PRODUCT,
        "sums of earlier dispatches are written over",
        "(*acc)[r * PART_ROWS + s] +=",
        "(*acc)[r * PART_ROWS + s] =",
        "gemm",
        &["split", " carry of gemm"],
    ),
];
