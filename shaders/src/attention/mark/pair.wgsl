// Which pairs are NaN. Linked to the marking kernels; q and k are read again only where a flag says that they hold an infinity.
const NOT_FINITE: u32 = 1u;
const INFINITE: u32 = 2u;
const LOWEST: f32 = -LIMIT;   // of a score; here only whether it is hidden counts

fn query_flags(i: u32) -> u32 { return side[params.flags_at + at.q_row + i * at.q_step]; }
fn key_flags(j: u32) -> u32 { return side[params.flags_at + params.batch_rows + key_row(j)]; }

// Whether the product of the two rows, one of which holds an infinity, is NaN, or an infinity at which the weight has no bound.
fn breaks(i: u32, j: u32) -> bool {
    var up = false;
    var down = false;
    for (var d = 0u; d < params.head_dim; d++) {
        let x = bitcast<u32>(q4(q_row(i), 0u, d / 4u)[d % 4u]);
        let y = bitcast<u32>(k4(k_row(j), 0u, d / 4u)[d % 4u]);
        if is_not_finite(x) | is_not_finite(y) {
            if ((x << 1u) == 0u) | ((y << 1u) == 0u) { return true; }
            let negative = ((x ^ y) >> 31u) == 1u;
            up = up | !negative;
            down = down | negative;
        }
    }
    let negative_scale = params.scale < 0.0;
    let above = select(up, down, negative_scale);
    let below = select(down, up, negative_scale);
    return (up & down) | (above & (BOUNDED_ABOVE == 0u)) | (below & (BOUNDED_BELOW == 0u)) | (params.scale == 0.0);
}

// Whether the pair's weight or what it weighs is NaN; the pair is visible.
fn pair_is_nan(i: u32, j: u32, of_query: u32) -> bool {
    let flags = of_query | key_flags(j);
    if flags == 0u { return false; }
    if is_hidden(biased(0.0, i, j, key_bias(j))) | hides_pair(i, j) { return false; }
    if (flags & NOT_FINITE) != 0u { return true; }
    return breaks(i, j);
}
