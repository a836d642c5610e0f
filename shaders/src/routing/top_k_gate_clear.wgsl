// Before the gate runs: no logit has been rejected.
//
// Owns: rejected.
@group(0) @binding(0) var<storage, read_write> rejected: array<u32>;

@compute @workgroup_size(1)
fn main() {
    rejected[0] = 0u;
    rejected[1] = 0x7fffffffu;
}
