//! Faults of keys and values in int8, and of appending to a cache of them.

use super::super::Row;

const KEYS: &str = "attention/io/keys_int8.wgsl";
const SCAN: &str = "attention/scan/key_int8.wgsl";
const PER_TOKEN: &str = "attention/scale/per_token.wgsl";
const APPEND: &str = "attention/cache_int8.wgsl";
const APPEND_SCALE: &str = "attention/cache_scale/per_token.wgsl";
const OP: &str = "attention";
const APPEND_OP: &str = "cache_append";

pub(super) const ALL: &[Row] = &[
    (
        "int8_without_sign",
        KEYS,
        "bytes are taken for numbers from 0 to 255",
        "bitcast<vec4<i32>>(vec4(word) << vec4(24u, 16u, 8u, 0u))",
        "(vec4(word) << vec4(24u, 16u, 8u, 0u))",
        OP,
        &["int8"],
    ),
    (
        "int8_bytes_turned",
        KEYS,
        "the first dim is the highest byte",
        "(24u, 16u, 8u, 0u)",
        "(0u, 8u, 16u, 24u)",
        OP,
        &["int8"],
    ),
    (
        "int8_scale_of_the_neighbour",
        KEYS,
        "two rows share a scale",
        "bitcast<f32>(k_scale_bits(row + skip))",
        "bitcast<f32>(k_scale_bits((row + skip) / 2u * 2u))",
        OP,
        &["int8_per_token"],
    ),
    (
        "int8_scale_of_values_for_keys",
        KEYS,
        "keys are scaled as values are",
        "bitcast<f32>(k_scale_bits(row",
        "bitcast<f32>(v_scale_bits(row",
        OP,
        &["int8"],
    ),
    (
        "int8_row_of_other_words",
        KEYS,
        "the last word of a row that is not full is forgotten",
        "let words = (params.val_dim + 3u) / 4u;",
        "let words = max(params.val_dim / 4u, 1u);",
        OP,
        &["int8", "odd widths"],
    ),
    (
        "int8_scale_of_the_first_page",
        PER_TOKEN,
        "every page has the scales of the first",
        "v_scale[row + params.scale_shift]",
        "v_scale[row % (params.page * params.kv_heads) + params.scale_shift]",
        OP,
        &["paged", "int8_per_token"],
    ),
    (
        "int8_scale_of_the_first_head",
        "attention/scale/per_head.wgsl",
        "every head has the scale of the first",
        "params.v_scale_at + at.kv_head",
        "params.v_scale_at",
        OP,
        &["int8_per_head"],
    ),
    (
        "int8_broken_scale_of_another_head",
        SCAN,
        "rows are taken to lie head by head within tokens",
        "select(j / max(params.seq_kv, 1u), j, tokens_first)",
        "select(j, j, tokens_first)",
        OP,
        &["int8_per_head", "NaN"],
    ),
    (
        "int8_large_scale_unseen",
        SCAN,
        "what may overflow is no NaN",
        ">= 0x7c000000u;",
        ">= 0x7f800000u;",
        OP,
        &["too large"],
    ),
    (
        "append_does_not_saturate",
        APPEND,
        "numbers beyond the scale wrap",
        "max(d, 1u)), 127u)",
        "max(d, 1u)), 255u)",
        APPEND_OP,
        &["int8_per_head"],
    ),
    (
        "append_ties_to_the_larger",
        APPEND,
        "a half is rounded away from 0",
        "(low % 2u == 1u)",
        "(low % 2u <= 1u)",
        APPEND_OP,
        &["int8"],
    ),
    (
        "append_bytes_turned",
        APPEND,
        "the first dim is the highest byte",
        "<< (8u * e);",
        "<< (24u - 8u * e);",
        APPEND_OP,
        &["int8"],
    ),
    (
        "append_scale_of_128",
        APPEND_SCALE,
        "the largest of a row becomes 128",
        "select(127u, 254u, half)",
        "select(128u, 256u, half)",
        APPEND_OP,
        &["int8_per_token"],
    ),
    (
        "append_broken_row_unseen",
        APPEND_SCALE,
        "a row with a NaN becomes zeros",
        "0x7fc00000u, bits >= INFINITY",
        "0u, bits >= INFINITY",
        APPEND_OP,
        &["int8_per_token", "special"],
    ),
];
