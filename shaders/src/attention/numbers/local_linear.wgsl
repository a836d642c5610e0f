// Slot numbers: lse_i (0 where there is none) and delta_i - m_i, as bits, with delta_i = Σ_d d_o[i, d]·o[i, d] - d_lse[i] and m_i = Σ_d d_o[i, d]·v_mean[i, d];
// rk_mean_i and m_i stay in side as well. Slots: d_lse.
@group(0) @binding(6) var<storage, read> d_o: array<Elem>;
@group(0) @binding(7) var<storage, read> o: array<Elem>;
@group(0) @binding(8) var<storage, read> lse: array<u32>;
@group(0) @binding(21) var<storage, read> v_mean: array<Elem>;
@group(0) @binding(23) var<storage, read> rk_mean: array<u32>;

fn row_numbers(i: u32, row: u32, in_sequence: bool) -> vec2<u32> {
    let word = params.means_at + (at.stat_row + i) * 2u;
    side[word] = 0u;
    side[word + 1u] = 0u;
    if !in_sequence { return vec2(0u); }
    var delta = 0.0;
    var mean = 0.0;
    let first = (at.q_row + i * at.q_step) * params.val_dim + params.o_shift;
    for (var d = 0u; d < params.val_dim; d++) {
        delta += f32(d_o[first + d]) * f32(o[first + d]);
        mean += f32(d_o[first + d]) * f32(v_mean[first + d]);
    }
    delta -= upstream_d_lse(row);
    side[word] = rk_mean[row];
    side[word + 1u] = bitcast<u32>(mean);
    let bits = lse[row];
    return vec2(select(bits, 0u, is_not_finite(bits)), bitcast<u32>(delta - mean));
}
