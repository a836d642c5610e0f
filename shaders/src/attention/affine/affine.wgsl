// attention, affine epilogue:
//
//   y_i ← alpha_i · x_i + (alpha_mean_h - alpha_i) · visible_mean_i
//
// Owns: its element of y, one an invocation; rows beyond a sequence get 0. Slots: rows.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> visible_mean: array<f32>;
@group(0) @binding(4) var<storage, read> alpha: array<f32>;
@group(0) @binding(5) var<storage, read> alpha_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    let row = row_at(own / params.row_width);
    if !row.owned { return; }
    let e = row.start + own % params.row_width;
    let a = alpha[row.stat];
    let element = f32(x[e]);
    let mean = visible_mean[e];
    let moved = a * element + (alpha_mean[at.q_head] - a) * mean;
    // an infinity stays one, in the direction that alpha gives it
    let value = select(moved, scaled(a, element), is_not_finite(bitcast<u32>(element)));
    let result = select(saturated(value, element), bitcast<f32>(NAN_BITS), is_not_finite(bitcast<u32>(mean)));
    y[e] = Elem(select(0.0, result, row.counts));
}
