// attention backward, relative bias: dz summed along walks of tiles, in which an element has the same j - i wherever the walk is.
//
//   for each WALK queries:
//       s ← q kᵀ,  dP ← d_o vᵀ;  total ← total + weight_gradient(z, weight(z), dropout(dP))   [TILE_OWN, TILE_STREAM]
//
// Owns: a tile of relative_tiles, [heads, walks, phases, TILE_OWN, TILE_STREAM]. stream_from .. stream_to counts steps of WALK queries; a later
// dispatch adds to what an earlier one left. Slots: access, schedule, weight, dropout, softcap, score_mod, mask_mod, bias, load.
@group(0) @binding(13) var<storage, read_write> relative_tiles: array<f32>;

const PHASES: u32 = WALK / TILE_OWN;

// The steps that meet the sequence, of tiles that are not hidden by a window or a causal mask as a whole.
fn steps_of(own: u32, stream: i32) -> vec2<u32> {
    let walk = i32(WALK);
    let first = max((walk - 1 - stream) / walk, 0) * i32(stream < 0);
    let end = min((i32(at.len_q) - i32(own) + walk - 1) / walk, (i32(at.len_kv) - stream + walk - 1) / walk);
    let nearest = stream - i32(own) - i32(TILE_OWN) + 1;            // of j - i
    let farthest = stream - i32(own) + i32(TILE_STREAM) - 1;
    let hidden = (nearest - at.off > params.high_shift) | (farthest - at.off < params.low_shift);
    let above = (params.top_left == 1u) & (params.prefix == 0u) & (nearest > 0);
    return select(vec2(u32(first), u32(max(end, 0))), vec2(0u), hidden | above);
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    let per_head = params.relative_walks * PHASES;
    enter(group / per_head / params.q_heads, group / per_head % params.q_heads);
    take_place(invocation);
    let own = group % PHASES * TILE_OWN;
    let stream = i32(group % per_head / PHASES * TILE_STREAM) - i32(params.relative_before);

    var total: Scores;                                              // [OWN, STREAM]
    let steps = steps_of(own, stream);
    let range = min(same_for_all(vec2(max(steps.x, params.stream_from), min(steps.y, params.stream_to))), vec2(params.seq_q));
    for (var n = range.x; n < range.y; n++) {
        own_first = n * WALK + own;
        stream_first = u32(max(i32(n * WALK) + stream, 0));         // never below: steps_of begins where the sequence does
        add_gradients(&total);
    }
    own_first = 0u;
    stream_first = 0u;
    for (var r = 0u; r < OWN; r++) { // unroll
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let element = (group * TILE_OWN + own_position(r)) * TILE_STREAM + stream_position(c * 4u + e) + params.score_shift;
                var before = 0.0;
                if params.stream_from > 0u { before = relative_tiles[element]; }
                relative_tiles[element] = before + total[r * STREAM4 + c][e];
            }
        }
    }
}
