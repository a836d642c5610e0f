// MoE dispatch: tokens' rows in the order of a plan.
//
//   y[row] ← x[permutation[row] / k],   0 where the entry is no assignment
//
// Owns: its words of a row of y. A row is copied as the widest words that it is made of, so no bit changes. Consts: LANES, BLOCK. Aliases: Word.
@group(0) @binding(1) var<storage, read> x: array<Word>;              // [tokens, quads]
@group(0) @binding(2) var<storage, read_write> y: array<Word>;        // [rows, quads]
@group(0) @binding(4) var<storage, read> permutation: array<u32>;     // [rows]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let place = place_of(group, lane);
    if place.row >= params.rows { return; }
    let entry = permutation[place.row];
    let is_legal = entry < params.legal;
    let origin = entry / params.top_k * params.quads;
    let own_row = place.row * params.quads;
    for (var quad = place.quad; quad < place.end; quad += BLOCK * place.step) {
        var words = array<Word, BLOCK>();
        for (var b = 0u; b < BLOCK; b++) { // unroll
            let at = quad + b * place.step;
            if is_legal & (at < place.end) { words[b] = x[origin + at]; }
        }
        for (var b = 0u; b < BLOCK; b++) { // unroll
            let at = quad + b * place.step;
            if at < place.end { y[own_row + at] = words[b]; }
        }
    }
}
