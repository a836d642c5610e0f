// attention, affine epilogue: the gradient of y ← alpha · x + (alpha_mean - alpha) · mean.
//
//   d_x ← alpha · d_y;   d_alpha ← d_y · (x - mean);   rows ← (alpha_mean - alpha) / n · d_y, what every value that the query sees gets
//
// Owns: its row of d_x, of d_alpha and of rows, where the means are until then, one row an invocation; rows beyond a sequence get 0.
// Slots: rows, mask.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> d_y: array<Elem>;
@group(0) @binding(4) var<storage, read> alpha: array<f32>;
@group(0) @binding(5) var<storage, read> alpha_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_x: array<Elem>;
@group(0) @binding(8) var<storage, read_write> d_alpha: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    let a = alpha[row.stat];
    let keys = keys_of(row.i);
    let share = (alpha_mean[at.q_head] - a) / f32(max(keys.y, keys.x + 1u) - keys.x);
    var sum = 0.0;
    var broken = false;
    for (var d = 0u; d < params.row_width; d++) {
        let e = row.start + d;
        let upstream = f32(d_y[e]);
        let element = f32(x[e]);
        let mean = rows[e];
        let lost = is_not_finite(bitcast<u32>(upstream));
        broken = broken | lost | is_not_finite(bitcast<u32>(element)) | is_not_finite(bitcast<u32>(mean));
        sum += upstream * (element - mean);
        d_x[e] = Elem(select(0.0, saturated(scaled(a, upstream), upstream), row.counts));
        rows[e] = select(0.0, bitcast<f32>(select(bitcast<u32>(share * upstream), NAN_BITS, lost)), row.counts);
    }
    d_alpha[row.stat] = select(0.0, bitcast<f32>(select(bitcast<u32>(sum), NAN_BITS, broken)), row.counts);
}
