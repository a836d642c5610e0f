// delta_i = Σ_d d_o[i, d]·o[i, d] as bits, for slots correction that need it: NaN if some number of the row is not finite.
@group(0) @binding(6) var<storage, read> d_o: array<Elem>;
@group(0) @binding(7) var<storage, read> o: array<Elem>;

fn delta_bits(i: u32) -> u32 {
    let first = (at.q_row + i * at.q_step) * params.val_dim + params.o_shift;
    var delta = 0.0;
    var broken = false;
    for (var d = 0u; d < params.val_dim; d++) {
        let x = f32(d_o[first + d]);
        let y = f32(o[first + d]);
        broken = broken | is_not_finite(bitcast<u32>(x)) | is_not_finite(bitcast<u32>(y));
        delta += x * y;
    }
    return select(bitcast<u32>(delta), NAN_BITS, broken);
}
