//! What must hold between runs, whatever the reference says: properties of ops that follow from their definitions. Each is shown with sound
//! kernels, and shown to break with a fault planted in one of them.
//!
//! No op takes strides, and all but `cache_append` write to tensors of their own. What there is instead is here: sequences packed and in pages,
//! rows of tokens first, transposed factors, and a cache in place.

use gatefold_tests::gpu;
use gatefold_tests::metamorphic::{self, Outcomes, Runner};
use gatefold_tests::mutants::Mutant;

/// The property holds, and does not with `find` replaced `with` another text in the kernel file `target`.
fn prove(property: fn(&Runner<'_>) -> Outcomes, target: &'static str, find: &'static str, with: &'static str) {
    property(&Runner::sound(gpu())).unwrap_or_else(|e| panic!("{e}"));
    let fault = Mutant { name: "metamorphic", target, fault: "planted", find, with, op: "", reach: &[] };
    let seen = property(&Runner::with(gpu(), fault));
    println!("with a fault: {}", seen.expect_err("the property holds in spite of a planted fault"));
}

/// A test per property, with the fault that it must see.
macro_rules! properties {
    ($($name:ident: $target:literal, $find:literal => $with:literal;)*) => {$(
        #[test]
        fn $name() {
            prove(metamorphic::$name, $target, $find, $with);
        }
    )*};
}

properties! {
    batch_and_heads_may_be_permuted: "attention/shape.wgsl",
        "at.kv_head = q_head / (params.q_heads / params.kv_heads);" => "at.kv_head = 0u;";
    queries_may_be_permuted: "attention/io/load_vec4.wgsl",
        "max(at.len_q, 1u) - 1u" => "max(at.len_q, 2u) - 2u";
    keys_may_be_permuted: "attention/io/keys_vec4.wgsl",
        "max(at.len_kv, 1u) - 1u" => "max(at.len_kv, 2u) - 2u";
    padding_has_no_effect: "attention/io/keys_vec4.wgsl",
        "max(at.len_kv, 1u) - 1u" => "params.seq_kv - 1u";
    zeros_may_widen_heads: "attention/io/keys_vec4.wgsl",
        "return vec4<f32>(k[row + min(d4, params.head_dim / 4u - 1u) + skip]);"
            => "return vec4<f32>(k[row + min(d4, params.head_dim / 4u - 2u) + skip]);";
    a_causal_prefix_stands_for_itself: "attention/mask/plain.wgsl",
        "min(high, i32(i) + 1)" => "min(high, i32(i) + 2)";
    packed_sequences_stand_for_themselves: "attention/shape.wgsl",
        "let kv_from = min(side[params.cu_kv_at + batch], params.total_kv);" => "let kv_from = 0u;";
    a_shift_changes_nothing: "attention/row/softmax.wgsl",
        "row_peak[r] = -LIMIT;" => "row_peak[r] = 0.0;";
    values_scale: "attention/io/keys_vec4.wgsl",
        "return vec4<f32>(v[row + min(d4, params.val_dim / 4u - 1u) + skip]);"
            => "return min(vec4<f32>(v[row + min(d4, params.val_dim / 4u - 1u) + skip]), vec4(1.0));";
    values_add_up: "attention/io/keys_vec4.wgsl",
        "return vec4<f32>(v[row + min(d4, params.val_dim / 4u - 1u) + skip]);"
            => "return abs(vec4<f32>(v[row + min(d4, params.val_dim / 4u - 1u) + skip]));";
    queries_and_keys_scale: "attention/io/load_vec4.wgsl",
        "return vec4<f32>(q[row + min(d4, params.head_dim / 4u - 1u) + skip]);"
            => "return min(vec4<f32>(q[row + min(d4, params.head_dim / 4u - 1u) + skip]), vec4(1.0));";
    weights_are_shares: "attention/row/softmax.wgsl",
        "row_sum[r] += (p.x + p.y) + (p.z + p.w);" => "row_sum[r] += (p.x + p.y) + p.z;";
    equal_scores_weigh_the_same: "attention/score.wgsl",
        "modified(capped, i, j) + at.bias" => "modified(capped, i, j) + at.bias + f32(j & 1u) * 1.0e-6";
    one_key_is_the_output: "attention/row/softmax.wgsl",
        "select(1.0 / max(row_sum[r], 1.0e-30)" => "select(0.999 / max(row_sum[r], 1.0e-30)";
    shared_heads_are_copies: "attention/shape.wgsl",
        "at.kv_head = q_head / (params.q_heads / params.kv_heads);" => "at.kv_head = q_head % params.kv_heads;";
    a_key_twice_is_one_and_ln_2: "attention/shape.wgsl",
        "clamp(bitcast<f32>(bits), -LIMIT, LIMIT)" => "clamp(0.5 * bitcast<f32>(bits), -LIMIT, LIMIT)";
    weights_formed_anew_are_the_same: "attention/weight/sigmoid.wgsl",
        "return 1.0 / (1.0 + exp(-z));" => "return 1.0 / (1.0 + 1.000001 * exp(-z));";
    parts_merge: "attention/merge.wgsl",
        "sum += share(part, row, joint)" => "sum = share(part, row, joint)";
    another_tile_is_near: "attention/schedule/micro_tile.wgsl",
        "let left = own_tile[(r * ROWS + own_lane) * DEPTH4 + d4];"
            => "let left = (1.0 + 1.0e-5 * f32(TILE_OWN * TILE_STREAM)) * own_tile[(r * ROWS + own_lane) * DEPTH4 + d4];";
    padding_has_no_effect_in_another_tile: "attention/io/keys_vec4.wgsl",
        "max(at.len_kv, 1u) - 1u" => "params.seq_kv - 1u";
    a_decoded_row_is_the_last: "attention/rows/grouped.wgsl",
        "keys_to(query_of(p))" => "max(keys_to(query_of(p)), 1u) - 1u";
    pages_may_be_permuted: "attention/keys/paged.wgsl",
        "min(number, params.pages - 1u)" => "min(number, params.pages - 8u)";
    a_cache_in_place_is_the_sequence: "attention/cache.wgsl",
        "min(lens[batch], params.max_len) + token" => "min(lens[batch] + 1u, params.max_len) + token";
    tokens_may_come_first: "attention/rotary.wgsl",
        "within / params.inner, params.tokens_first == 1u" => "within / params.inner, params.tokens_first == 2u";
    factors_may_be_transposed: "gemm/right/columns.wgsl",
        "min(col + e, params.n_to - 1u)" => "min(col + (e ^ 1u), params.n_to - 1u)";
    int8_scales: "attention/io/keys_int8.wgsl",
        "return signed4(word) * bitcast<f32>(v_scale_bits(row + skip));"
            => "return min(signed4(word) * bitcast<f32>(v_scale_bits(row + skip)), vec4(1.0));";
    kept_weights_scale: "attention/dropout/counter.wgsl",
        "select(x * params.keep_scale," => "select(x * params.keep_scale * 1.000001,";
    rows_may_be_permuted: "rowwise/shape.wgsl",
        "min(row_len(index), params.cols)" => "min(row_len(index), params.cols - min(index, 1u))";
    a_shift_of_rows_changes_no_share: "common/maximum_sum.wgsl",
        "return Stat(-LARGEST, 0.0, 0u);" => "return Stat(0.0, 0.0, 0u);";
    a_row_ends_at_its_length: "rowwise/len/lens.wgsl",
        "return lens[row + params.narrow_shift];" => "return lens[row + params.narrow_shift] + 1u;";
    equal_entries_have_equal_shares: "rowwise/function/logits.wgsl",
        "clamp(entry * params.half_scale," => "clamp(entry * params.half_scale + vec4<f32>(columns(col) & vec4(1u)) * 1.0e-6,";
    one_entry_is_the_row: "rowwise/function/softmax.wgsl",
        "1.0 / max(stat.sum, 0.5)" => "0.9999 / max(stat.sum, 0.5)";
    logarithms_of_shares: "rowwise/function/log_softmax.wgsl",
        "log(max(stat.sum, 0.5))" => "1.0001 * log(max(stat.sum, 0.5))";
    slopes_of_rows: "rowwise/function/softmax_backward.wgsl",
        "d_y4 - vec4(sum)" => "d_y4 - vec4(0.999 * sum)";
}
