// Slot numbers: lse_i (0 where there is none) and delta_i = Σ_d d_o[i, d]·o[i, d] - d_lse[i], as bits. Slots: d_lse.
@group(0) @binding(6) var<storage, read> d_o: array<Elem>;
@group(0) @binding(7) var<storage, read> o: array<Elem>;
@group(0) @binding(8) var<storage, read> lse: array<u32>;

fn row_numbers(i: u32, row: u32, in_sequence: bool) -> vec2<u32> {
    if !in_sequence { return vec2(0u); }
    var delta = 0.0;
    let first = (at.q_row + i * at.q_step) * params.val_dim + params.o_shift;
    for (var d = 0u; d < params.val_dim; d++) {
        delta += f32(d_o[first + d]) * f32(o[first + d]);
    }
    delta -= upstream_d_lse(row);
    let bits = lse[row];
    return vec2(select(bits, 0u, is_not_finite(bits)), bitcast<u32>(delta));
}
