// Slot rejected: how many logits are NaN, and the first of them. A count and a least, so the order of atomics cannot matter.
@group(0) @binding(4) var<storage, read_write> rejected: array<atomic<u32>>;

fn reject(at: u32) {
    atomicAdd(&rejected[0], 1u);
    atomicMin(&rejected[1], at);
}
