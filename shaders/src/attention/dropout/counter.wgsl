// Slot dropout: a pair is dropped where its word is below the threshold, and counts 1/(1 - p) times elsewhere. Words depend on the seed and on
// batch entry, head, i and j alone, so that every kernel finds the same, however it is tiled. Slots: seed.

// The two words that are the key of query i's row (PCG4D: Jarzynski and Olano, JCGT 2020).
fn dropout_row(i: u32) -> vec2<u32> {
    var v = vec4(vec2(i, at.batch * params.q_heads + at.q_head), seed()) * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    return v.xy;
}

// x, the weight of key j or its gradient, after dropout (triple32: Wellons, Hash Prospector, 2018).
fn dropped(x: f32, row: vec2<u32>, j: u32) -> f32 {
    var word = j ^ row.x;
    word = (word ^ (word >> 17u)) * 0xed5ad4bbu + row.y;
    word = (word ^ (word >> 11u)) * 0xac4c1b51u;
    word = (word ^ (word >> 15u)) * 0x31848babu;
    word ^= word >> 14u;
    return select(x * params.keep_scale, 0.0, word < params.drop_below);
}
