// attention, prologue and epilogue: a map of rows.
//
//   u ← first · x;   y ← last · φ(gain · norm(u))
//
// Owns: its row of y, one row an invocation; rows beyond a sequence get 0. Slots: rows, norm, feature, factor, order, activation,
// gain.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    enter_factor(row);
    let norm = norm_of(row);
    for (var d = 0u; d < params.row_width; d++) {
        let f = factor(row, d).x;
        let n = (scaled(first(f), element(row, d)) - norm.mean) * norm.share;      // [row_width]
        let result = saturated(scaled(last(f), mapped(gain(d), n)), element(row, d));
        let value = bitcast<f32>(select(bitcast<u32>(result), NAN_BITS, norm.broken));
        y[row.start + d] = Elem(select(0.0, value, row.counts));
    }
}

fn element(row: Row, d: u32) -> f32 { return f32(x[row.start + d]); }
