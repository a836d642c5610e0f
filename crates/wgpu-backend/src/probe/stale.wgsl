// Counts the words of workgroup memory that are not zero at the start. WGSL says there are none.

@group(0) @binding(1) var<storage, read_write> stale: array<u32>;  // [groups, 64]

var<workgroup> memory: array<u32, WORDS>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  var count = 0u;
  for (var word = lane; word < WORDS; word += 64u) {
    count += select(0u, 1u, memory[word] != 0u);
  }
  stale[group.x * 64u + lane] = count;
}
