// routing: the sum of two gradients of the same rows.
//
//   y ← a + b
//
// Owns: its element of y. One element an invocation. A NaN or an infinity is carried as IEEE 754 carries it.
struct Params {
    first: u32,     // element of this dispatch
    end: u32,
    group_count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Given>;
@group(0) @binding(2) var<storage, read> b: array<Given>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let element = params.first + place * INVOCATIONS + invocation;
    if element >= params.end { return; }
    y[element] = Elem(f32(a[element]) + f32(b[element]));
}
