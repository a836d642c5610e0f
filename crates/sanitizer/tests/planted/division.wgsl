// Means of groups, one of which is empty.
@group(0) @binding(0) var<storage, read> sum: array<u32>;
@group(0) @binding(1) var<storage, read> count: array<u32>;
@group(0) @binding(2) var<storage, read_write> mean: array<u32>;

@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
    mean[lane] = sum[lane] / count[lane]; // FAULT
}
