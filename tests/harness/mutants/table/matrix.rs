//! Faults of the schedules in matrix units: reached only where the adapter has some.

use super::super::Row;

const FORWARD: &str = "attention/forward_matrix.wgsl";
const ATTENTION: &str = "attention/schedule/matrix.wgsl";
const SOFTMAX: &str = "attention/row_matrix/softmax.wgsl";
const SIGMOID: &str = "attention/row_matrix/sigmoid.wgsl";
const PRODUCT: &str = "gemm/schedule/matrix.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "matrix_forward_share_left_out",
        FORWARD,
        "rows are not divided by their sums",
        "row_share() * score_tile",
        "score_tile",
        "attention",
        &[],
    ),
    (
        "matrix_keys_as_values_lie",
        ATTENTION,
        "keys are multiplied by dims, not transposed",
        "coopLoad<Right>(&stream_tile[s * EDGE",
        "coopLoadT<Right>(&stream_tile[s * EDGE",
        "attention",
        &[],
    ),
    (
        "matrix_values_not_turned",
        ATTENTION,
        "a block of values is staged by keys",
        "= vec4(rows[0][e], rows[1][e], rows[2][e], rows[3][e]);",
        "= rows[e];",
        "attention",
        &[],
    ),
    (
        "matrix_softmax_not_rescaled",
        SOFTMAX,
        "the accumulator keeps the old maximum",
        "        scale_rows(acc, row_factor);\n",
        "",
        "attention",
        &["softmax"],
    ),
    (
        "matrix_sigmoid_hidden_counts",
        SIGMOID,
        "a hidden pair has the smallest weight, not none",
        "vec4(0.0), z < vec4(HIDDEN_BELOW)",
        "vec4(1.0), z < vec4(HIDDEN_BELOW)",
        "attention",
        &["sigmoid", ".causal_"],
    ),
    (
        "matrix_product_last_step_as_whole",
        PRODUCT,
        "terms beyond the last one count",
        "if first + DEPTH <= end {",
        "if first < end {",
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
        "matrix_product_rows_of_the_first",
        PRODUCT,
        "every matrix of rows is the first one",
        "&left_tile[r * EDGE * DEPTH_STRIDE4 + d * EDGE4]",
        "&left_tile[0u * r + d * EDGE4]",
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
