// Self-test of subgroups: how invocations are dealt to them, shuffles and reductions in a loop. Numbers are whole, so that sums are exact in
// any order; words are any bits. A lane to read from moves from the first to the last over the rounds.

struct Params {
  rounds: u32, // at least 2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;                // [groups, INVOCATIONS]
@group(0) @binding(2) var<storage, read> quads: array<vec4<f32>>;          // [groups, INVOCATIONS]
@group(0) @binding(3) var<storage, read_write> places: array<vec4<u32>>;   // [groups, INVOCATIONS]: size, lane, invocation of the first lane, of the last
@group(0) @binding(4) var<storage, read_write> moved: array<vec4<u32>>;    // [groups, INVOCATIONS, rounds]: of one lane, of the next but `round`, xor, first
@group(0) @binding(5) var<storage, read_write> reduced: array<vec4<f32>>;  // [groups, INVOCATIONS, rounds]: sum, least, largest, sum of what shuffles gave

@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let at = group.x * INVOCATIONS + local;
  places[at] = vec4(size, lane, subgroupShuffle(local, 0u), subgroupShuffle(local, LANES - 1u));
  let word = words[at];
  let quad = quads[at];
  var total = 0.0;
  for (var round = 0u; round < params.rounds; round++) {
    let source = round * (LANES - 1u) / (params.rounds - 1u);
    let one = subgroupShuffle(word, source);
    let next = subgroupShuffle(word, (lane + round) % LANES);
    let crossed = subgroupShuffleXor(word, source);
    let first = subgroupBroadcastFirst(word ^ round);
    moved[at * params.rounds + round] = vec4(one, next, crossed, first);
    let rows = subgroupShuffle(quad, source);
    total += dot(rows, vec4(1.0, 2.0, 3.0, 4.0));
    let mine = quad[round % 4u] + f32(round);
    reduced[at * params.rounds + round] = vec4(subgroupAdd(mine), subgroupMin(mine), subgroupMax(mine), total);
  }
}
