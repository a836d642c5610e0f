// attention, prologue and epilogue: the gradient of a map of rows, u ← first · x, y ← last · φ(gain · norm(u)).
//
//   d_n ← last · gain · φ'(gain · n) · d_y;   d_u ← norm'(d_n);   d_x ← first · d_u;   d_factor ← Σ x · d_u, or Σ d_y · φ(gain · n)
//
// Owns: its row of d_x and of what slots gain and gradient keep, one row an invocation; rows beyond a sequence get 0.
// Slots: rows, norm, feature, factor, order, activation, gain, gradient.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> d_y: array<Elem>;
@group(0) @binding(4) var<storage, read_write> d_x: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    enter_factor(row);
    let norm = norm_of(row);
    var along = 0.0;
    var sum = 0.0;
    var broken = norm.broken;
    for (var d = 0u; d < params.row_width; d++) {
        let g = d_normalized(row, d, norm);
        broken = broken | is_not_finite(bitcast<u32>(f32(d_y[row.start + d]))) | is_not_finite(bitcast<u32>(element(row, d)));
        along += normalized(row, d, norm) * g;
        sum += g;
    }
    var total = 0.0;
    for (var d = 0u; d < params.row_width; d++) {
        let f = factor(row, d);
        let n = normalized(row, d, norm);
        let upstream = f32(d_y[row.start + d]);
        let d_u = norm_gradient(n, d_normalized(row, d, norm), along, sum, norm);
        let lost = broken & NORMALIZES;
        d_x[row.start + d] = Elem(kept(row, saturated(scaled(first(f.x), d_u), upstream), lost));
        let d_f = by_factor(element(row, d) * d_u, upstream * mapped(gain(d), n));
        total += d_f;
        store_element(row, d, kept(row, d_f * f.y, lost));
        store_gain_term(row, d, kept(row, last(f.x) * d_mapped(gain(d), n, upstream) * n, lost));
    }
    store_row(row, kept(row, total * enter_slope(), broken));
}

fn element(row: Row, d: u32) -> f32 { return f32(x[row.start + d]); }
fn normalized(row: Row, d: u32, norm: Norm) -> f32 {
    return (scaled(first(factor(row, d).x), element(row, d)) - norm.mean) * norm.share;
}
fn d_normalized(row: Row, d: u32, norm: Norm) -> f32 {
    let d_m = d_mapped(gain(d), normalized(row, d, norm), f32(d_y[row.start + d]));
    return scaled(last(factor(row, d).x) * gain(d), d_m);
}
fn kept(row: Row, value: f32, lost: bool) -> f32 {
    return select(0.0, bitcast<f32>(select(bitcast<u32>(value), NAN_BITS, lost)), row.counts);
}
