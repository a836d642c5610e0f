// A bit of a mask.
@group(0) @binding(0) var<storage, read_write> mask: array<u32>;

@compute @workgroup_size(34)
fn main(@builtin(local_invocation_index) lane: u32) {
    mask[lane] = 1u << (lane & 31u);
}
