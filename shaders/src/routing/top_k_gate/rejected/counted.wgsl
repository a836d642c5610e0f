// Slot rejected: NaN logits are counted, and the first is found. A count and a least place do not depend on the order of their parts.
@group(0) @binding(7) var<storage, read_write> rejected: array<atomic<u32>>;
fn reject(expert: u32) {
    atomicAdd(&rejected[0], 1u);
    atomicMin(&rejected[1], token * params.experts + expert);
}
