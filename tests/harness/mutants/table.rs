//! The planted faults that are replacements: name, target, fault, text, replacement, op, words in the case's description.

use super::Row;

const FORWARD: &str = "attention/forward.wgsl";
const SHAPE: &str = "attention/shape.wgsl";
const SOFTMAX: &str = "attention/row/softmax.wgsl";
const MICRO: &str = "attention/schedule/micro_tile.wgsl";
const LANES: &str = "attention/schedule/lanes.wgsl";
const D_QUERY: &str = "attention/backward_query.wgsl";
const D_KEY: &str = "attention/backward_key_value.wgsl";

/// Faults of the forward kernel and of what all kernels share.
const SHARED: [Row; 22] = [
    ("scale_missing", FORWARD, "scores are not scaled", "[e] * params.scale);", "[e]);", "", &[]),
    ("causal_off_by_one", SHAPE, "top-left causal: j < i instead of j <= i", "min(high, i32(i) + 1)", "min(high, i32(i))", "", &["causal_top_left"]),
    ("bottom_right_off_by_one", SHAPE, "the last visible key of every row is hidden", "+ params.high_shift + 1;", "+ params.high_shift;", "", &["causal_bottom_right"]),
    ("window_off_by_one", SHAPE, "the window's left edge is one key late", "at.off + params.low_shift, 0,", "at.off + params.low_shift + 1, 0,", "", &["window"]),
    ("last_key_dropped", SHAPE, "key len_kv - 1 is never visible", "return u32(clamp(causal, 0, i32(at.len_kv)));", "return u32(clamp(causal, 0, max(i32(at.len_kv) - 1, 0)));", "", &[]),
    ("alibi_without_abs", SHAPE, "ALiBi distance keeps its sign", "return f32(abs(i32(i) + at.off - i32(j)));", "return f32(i32(i) + at.off - i32(j));", "", &["alibi"]),
    ("heads_interleaved", SHAPE, "query head h uses key head h mod kv_heads", "q_head / (params.q_heads / params.kv_heads);", "q_head % params.kv_heads;", "", &["query heads on"]),
    ("head_bias_of_next_head", SHAPE, "head_bias of the next head", "params.head_bias_at + q_head)", "params.head_bias_at + (q_head + 1u) % params.q_heads)", "", &["head_bias."]),
    ("lens_kv_ignored", SHAPE, "padding counts as keys", "at.len_kv = min(side[params.lens_kv_at + batch], params.seq_kv);", "at.len_kv = params.seq_kv;", "", &["padded"]),
    ("neg_log_len_of_seq", SHAPE, "-ln seq_kv instead of -ln len_kv", "at.bias -= ln_count(at.len_kv);", "at.bias -= ln_count(params.seq_kv);", "", &["neg_log_len", "padded"]),
    ("ln_count_coarse", SHAPE, "a coefficient of the logarithm's series is off by 1 %", "(0.33333334 + y", "(0.33 + y", "", &["neg_log_len", "padded"]),
    ("packed_rows_not_moved", SHAPE, "lse of packed sequences lands on the first", "at.stat_row = q_head * params.total_q + q_from;", "at.stat_row = q_head * params.total_q;", "", &["packed", "softmax"]),
    ("acc_not_rescaled", SOFTMAX, "the accumulator is not rescaled when the maximum grows", "(*acc)[r * WIDTH4 + w] *= rescale;", "(*acc)[r * WIDTH4 + w] *= 1.0;", "attention", &["softmax"]),
    ("sum_not_rescaled", SOFTMAX, "the running sum is not rescaled when the maximum grows", "row_sum[r] *= rescale;", "row_sum[r] *= 1.0;", "attention", &["softmax"]),
    ("peak_from_zero", SOFTMAX, "the running maximum begins at 0", "row_peak[r] = -LIMIT;", "row_peak[r] = 0.0;", "attention", &["softmax", "scores of"]),
    ("sink_missing", SOFTMAX, "the sink is not in the sum", "row_sum[r] = 1.0;", "row_sum[r] = 0.0;", "attention", &["sink"]),
    ("lse_without_max", SOFTMAX, "lse lacks the maximum", "bitcast<u32>(row_peak[r] + log(", "bitcast<u32>(log(", "attention", &["\"lse\":true"]),
    ("weights_rounded", SOFTMAX, "weights are rounded to f16's precision", "[r * STREAM4 + c] = p;", "[r * STREAM4 + c] = bitcast<vec4<f32>>(bitcast<vec4<u32>>(p) & vec4(0xffffe000u));", "attention", &[]),
    ("row_state_lost", SOFTMAX, "the running sum is lost between two dispatches", "row_sum[r] = side_f32(word + r * 2u + 1u);", "row_sum[r] = 0.0;", "attention", &["split"]),
    ("row_guard_dropped", FORWARD, "rows beyond seq_q are written", "if i < params.seq_q && (params.packed_rows == 0u || in_sequence) {", "if params.packed_rows == 0u || in_sequence {", "", &[]),
    ("folded_wrongly", FORWARD, "a folded grid is walked with the wrong stride", "id.y * groups.x + id.x;", "id.y * groups.y + id.x;", "", &["folded"]),
    ("split_from_the_start", FORWARD, "every dispatch of a split begins at the first workgroup", "let group = params.first_group + place;", "let group = place;", "", &["split"]),
];

/// Faults of the schedules.
const SCHEDULES: [Row; 7] = [
    ("barrier_after_staging", MICRO, "no barrier between staging and products", "        workgroupBarrier();\n        for (var d4 = 0u;", "        for (var d4 = 0u;", "", &[]),
    ("barrier_after_values", MICRO, "no barrier between staging values and adding them up", "        workgroupBarrier();\n        for (var j4 = 0u;", "        for (var j4 = 0u;", "", &[]),
    ("barrier_in_row_sums", MICRO, "no barrier between writing and reading a row's partial values", "] = (*values)[r];\n    }\n    workgroupBarrier();", "] = (*values)[r];\n    }", "", &["softmax"]),
    ("fourth_key_dropped", MICRO, "every fourth key has no value", " + p.w * value[3];", ";", "", &[]),
    ("row_partial_dropped", MICRO, "one column is missing in row sums", "        (*values)[r] = 0.0;\n        for (var s = 0u;", "        (*values)[r] = 0.0;\n        for (var s = 1u;", "", &["softmax"]),
    ("lane_value_repeated", LANES, "four keys share one value", "source * STREAM + c * 4u + e, dim4(w)", "source * STREAM + c * 4u, dim4(w)", "", &[]),
    ("lane_row_of_lane_0", LANES, "every own row is lane 0's", "subgroupShuffle(rows, l)", "subgroupShuffle(rows, 0u)", "", &[]),
];

/// Faults of the gradient.
const GRADIENTS: [Row; 15] = [
    ("d_q_not_scaled", D_QUERY, "d_q lacks the scale", "acc[r * WIDTH4 + w] * params.scale, in_sequence", "acc[r * WIDTH4 + w], in_sequence", "", &[]),
    ("d_k_not_scaled", D_KEY, "d_k lacks the scale", "acc_k[r * WIDTH4 + w] * params.scale, in_sequence", "acc_k[r * WIDTH4 + w], in_sequence", "", &[]),
    ("d_v_of_ds", D_KEY, "d_v is summed with dS instead of P", "accumulate(D_O, &scores, &acc_v);", "accumulate(D_O, &d_scores, &acc_v);", "", &[]),
    ("group_cut_short", D_KEY, "only the first query head of a group reaches d_k and d_v", "h < sharers; h++", "h < 1u; h++", "", &["query heads on"]),
    ("cap_gradient_dropped", D_KEY, "d_k ignores the soft cap's derivative", "dz * cap_gradient(capped);", "dz;", "", &["softcap."]),
    ("delta_ignored", "attention/weight/softmax.wgsl", "dS lacks delta", "return p * (d_p - statistics.y);", "return p * d_p;", "", &[]),
    ("delta_of_absolute", "attention/delta.wgsl", "delta sums magnitudes", "delta += f32(d_o[first + d]) * f32(o[first + d]);", "delta += abs(f32(d_o[first + d]) * f32(o[first + d]));", "", &[]),
    ("d_lse_sign", "attention/delta.wgsl", "the gradient of lse is added instead of subtracted", "delta -= upstream_d_lse(", "delta += upstream_d_lse(", "", &["\"d_lse\":true"]),
    ("sharers_overwrite", "attention/backward_score_bias.wgsl", "sharers of a score bias overwrite one another", "[e] += select(dz, 0.0, is_hidden(z));", "[e] = select(dz, 0.0, is_hidden(z));", "", &["score_bias."]),
    ("bias_tile_guard", "attention/backward_score_bias.wgsl", "columns beyond seq_kv are written", "if i < params.seq_q && j < params.seq_kv {", "if i < params.seq_q {", "", &["score_bias."]),
    ("bias_gradient_of_first_head", "attention/reduce_keys.wgsl", "d_key_bias sums one key head only", "h < params.kv_heads; h++", "h < 1u; h++", "", &["key_bias.", "\"kv_heads\":3"]),
    ("tree_cut_short", "attention/reduce_rows.wgsl", "the reduction tree stops one level early", "half > 0u;", "half > 1u;", "", &[]),
    ("distance_gradient_dropped", "attention/sums/rows.wgsl", "ALiBi's gradient lacks the distance", "select(distance(i, j) * dz, 0.0,", "select(dz, 0.0,", "", &["alibi"]),
    ("pair_sum_overwritten", "attention/sums/rows.wgsl", "a row's sum of dS keeps the last pair only", "pair_sum[r] += dz;", "pair_sum[r] = dz;", "", &["head_bias."]),
    ("sums_lost", "attention/sums/keys.wgsl", "sums are lost between two dispatches", "pair_sum[r] = side_f32(word + r);", "pair_sum[r] = 0.0;", "", &["split", "key_bias."]),
];

/// Every replacement.
pub const MUTANTS: [Row; 44] = join();

const fn join() -> [Row; 44] {
    let mut all = [SHARED[0]; 44];
    let mut at = 0;
    while at < 44 {
        all[at] = match at {
            0..22 => SHARED[at],
            22..29 => SCHEDULES[at - 22],
            _ => GRADIENTS[at - 29],
        };
        at += 1;
    }
    all
}
