// Neighbours added.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let next = id.x + 1u;
    y[id.x] = x[id.x] + x[next]; // FAULT
}
