// Neighbours swapped by shuffles, where a branch has left some lanes behind.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) {
    var value = x[lane];
    if value > 2.0 {
        value = subgroupShuffleXor(value, 1u); // FAULT
    }
    y[lane] = value;
}
