// Neighbours swapped by shuffles.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) {
    let value = x[lane];
    let other = subgroupShuffleXor(value, 1u);
    y[lane] = select(value, other, value > 2.0);
}
