// Counts numbers below a half, all workgroups in one place.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> count: array<atomic<u32>>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) {
    if x[group.x] < 0.5 {
        atomicAdd(&count[0], 1u);
    }
}
