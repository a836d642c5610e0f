//! What must hold between runs, whatever the reference says: properties of ops that follow from their definitions. Each is shown with sound
//! kernels, and shown to break with a fault planted in one of them.
//!
//! | what may be done | attention and rows | routing, products and the rest |
//! |---|---|---|
//! | 1 permute what does not know of each other | `batch_and_heads_…`, `queries_…`, `rows_may_be_permuted` | `tokens_stand_for_themselves`, `rows_and_columns_…`, `activations_go_by_rows`, `the_largest_in_any_order`, `a_turn_may_be_undone`, `statistics_…` |
//! | 2 permute what is summed over | `keys_may_be_permuted` | `losses_know_no_order`, `statistics_…`, `experts_products_…` |
//! | 3 padding, other tiles | `padding_has_no_effect…`, `zeros_may_widen_heads`, `another_tile_is_near`, `a_row_ends_at_its_length` | `products_are_linear` (terms that are zero) |
//! | 4 causal prefix, decoding | `a_causal_prefix_…`, `a_decoded_row_is_the_last` | `a_cache_grows_in_pieces` |
//! | 5 packed sequences, pages | `packed_sequences_…`, `pages_may_be_permuted`, `a_cache_in_place_…` | |
//! | 6 parts merge | `parts_merge` | `parts_merge_in_any_order` |
//! | 7 shift | `a_shift_changes_nothing`, `a_shift_of_rows_…` | `statistics_…` |
//! | 8, 9 scale, add | `values_…`, `queries_and_keys_scale`, `int8_scales`, `slopes_of_rows` | `products_are_linear`, `gradients_scale`, `activations_go_by_rows` |
//! | 10, 11, 12 shares | `weights_are_shares`, `equal_scores_…`, `one_key_…`, `equal_entries_…`, `one_entry_…`, `logarithms_of_shares` | `statistics_…` (equal scores) |
//! | 13 layouts | `shared_heads_are_copies`, `tokens_may_come_first`, `factors_may_be_transposed` | `a_turn_may_be_undone` |
//! | 14 a key twice | `a_key_twice_is_one_and_ln_2` | |
//! | 15 mixtures of experts | | `experts_may_be_relabelled`, `all_experts_are_the_dense_mixture`, `a_capacity_that_nobody_reaches`, `tokens_stand_for_themselves`, `what_is_dispatched_comes_back`, `assignments_…`, `experts_choose_in_any_order` |
//! | 16 formed anew | `weights_formed_anew_are_the_same`, `kept_weights_scale` | |
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
        "row_sum[r] += (p.x + p.y) + (p.z + p.w);" => "row_sum[r] += p.y + (p.z + p.w);";
    equal_scores_weigh_the_same: "attention/score.wgsl",
        "modified(capped, i, j) + at.bias" => "modified(capped, i, j) + at.bias + f32(j & 1u) * 1.0e-6";
    one_key_is_the_output: "attention/row/softmax.wgsl",
        "select(1.0 / max(row_sum[r], 1.0e-30)" => "select(0.999 / max(row_sum[r], 1.0e-30)";
    shared_heads_are_copies: "attention/shape.wgsl",
        "at.kv_head = q_head / (params.q_heads / params.kv_heads);" => "at.kv_head = q_head % params.kv_heads;";
    a_key_twice_is_one_and_ln_2: "attention/shape.wgsl",
        "clamp(bitcast<f32>(bits), -LIMIT, LIMIT)" => "clamp(0.5 * bitcast<f32>(bits), -LIMIT, LIMIT)";
    weights_formed_anew_are_the_same: "attention/weight/sigmoid.wgsl",
        "return 1.0 / (1.0 + exp(-z));" => "return 1.0 / (1.0 + 1.001 * exp(-z));";
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
    a_turn_may_be_undone: "attention/rotary.wgsl",
        "let turn = sine * params.direction;" => "let turn = sine;";
    a_cache_grows_in_pieces: "attention/cache.wgsl",
        "min(lens[batch], params.max_len) + token" => "min(lens[batch], params.max_len) + token % 4u";
    parts_merge_in_any_order: "attention/merge.wgsl",
        "o_parts[part * params.rows * params.val_dim + element]"
            => "o_parts[part % 2u * params.rows * params.val_dim + element]";
    statistics_follow_the_weights: "attention/diagnostics/row.wgsl",
        "largest = max(largest, m);" => "largest = m;";
    rows_and_columns_may_be_permuted: "gemm/right/columns.wgsl",
        "min(col + e, params.n_to - 1u)" => "min(col + e, params.n_to - 2u)";
    products_are_linear: "gemm/product.wgsl",
        "params.alpha * acc[r * COLS4 + c] + bias" => "params.alpha * acc[r * COLS4 + c] + bias + vec4(1.0e-3)";
    experts_products_stand_for_themselves: "gemm/grouped/rows.wgsl",
        "select(at.expert * params.b_matrix, 0u," => "select(0u * params.b_matrix, 0u,";
    activations_go_by_rows: "routing/expert_activation.wgsl",
        "up = in4(place.row * HALVES + 1u, quad)" => "up = in4(place.row * HALVES, quad)";
    experts_may_be_relabelled: "routing/top_k_gate/shape.wgsl",
        "f32(logits[token * params.experts + expert])"
            => "f32(logits[token * params.experts + min(expert, params.experts - 2u)])";
    tokens_stand_for_themselves: "routing/combine.wgsl",
        "let slot = place.row * params.top_k + j;"
            => "let slot = min(place.row * params.top_k + j + 1u, params.rows * params.top_k - 1u);";
    assignments_may_be_permuted: "routing/plan/place.wgsl",
        "same & (other < lane)" => "same & (other < lane / 2u)";
    a_capacity_that_nobody_reaches: "routing/plan/keep/position.wgsl",
        "rank < params.capacity" => "rank + 1u < params.capacity";
    all_experts_are_the_dense_mixture: "routing/top_k_gate.wgsl",
        "select(0.0, factor * slot_weight[seat * SLOTS + j], here)"
            => "select(0.0, factor * slot_weight[seat * SLOTS + j] * select(1.0, 1.001, j == 0u), here)";
    what_is_dispatched_comes_back: "routing/dispatch.wgsl",
        "let origin = entry / params.top_k * params.quads;"
            => "let origin = min(entry, (params.legal - 1u) / params.top_k) * params.quads;";
    gradients_scale: "routing/expert_activation_backward.wgsl",
        "first.value * second.slope" => "first.value * second.slope + 1.0e-3";
    losses_know_no_order: "routing/losses/token_sums.wgsl",
        "var live = token < params.tokens;" => "var live = token + 1u < params.tokens;";
    experts_choose_in_any_order: "routing/expert_choice/logits.wgsl",
        "f32(logits[at])" => "f32(logits[max(at, 9u)])";
    the_largest_in_any_order: "routing/top_k/store.wgsl",
        "store_value(to, row * params.cols + col)" => "store_value(to, col)";
}
