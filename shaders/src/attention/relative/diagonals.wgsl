// attention backward, relative bias: sums of dz by j - i, from what walks of tiles have left.
//
// Owns: an element of relative_diagonals, [heads, seq_q + seq_kv - 1], one an invocation. Slots: none.
@group(0) @binding(13) var<storage, read> relative_tiles: array<f32>;
@group(0) @binding(14) var<storage, read_write> relative_diagonals: array<f32>;

const PHASES: u32 = WALK / TILE_OWN;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    let diagonals = params.seq_q + params.seq_kv - 1u;
    let per_head = (diagonals + INVOCATIONS - 1u) / INVOCATIONS;
    let x = group % per_head * INVOCATIONS + invocation;
    if x >= diagonals { return; }
    let head = group / per_head;
    var sum = 0.0;
    for (var y = 0u; y < WALK; y++) {
        // key of query y on the diagonal, counted from the first walk's
        let j = x + 1u + y + params.relative_before - params.seq_q;
        let tile = (head * params.relative_walks + j / TILE_STREAM) * PHASES + y / TILE_OWN;
        sum += relative_tiles[(tile * TILE_OWN + y % TILE_OWN) * TILE_STREAM + j % TILE_STREAM + params.score_shift];
    }
    relative_diagonals[head * diagonals + x] = sum;
}
