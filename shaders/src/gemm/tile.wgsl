// What every product has: the turn of a workgroup, the walk over tiles, and blocks of four by four. Linked to every variant.

// What a workgroup does in this dispatch.
struct Turn {
    idle: bool,     // nothing
    first: u32,     // adds terms first .. end
    end: u32,
    kept: u32,      // where its sums wait from the dispatch before, and
    keep: u32,      // where they are to wait for the next: workgroups of side
}

const BAND: u32 = 8u;   // rows of tiles that are walked together, so that neighbours find b in a cache

// Row and column, in tiles, of the tile of that number.
fn walked(tile: u32, tiles_m: u32, tiles_n: u32) -> vec2<u32> {
    let band = tile / (BAND * tiles_n);
    let height = min(BAND, tiles_m - band * BAND);
    let within = tile - band * BAND * tiles_n;
    return vec2(band * BAND + within % height, within / height);
}

// Four rows or columns by four terms of a sum: [e] holds the four at term e.
alias Block = array<vec4<f32>, 4>;

// Terms from `end` on count as 0 on both sides: what is read in their place may be a NaN.
fn masked(block: Block, depth: u32, end: u32) -> Block {
    let there = vec4(depth) + vec4(0u, 1u, 2u, 3u) < vec4(end);
    return Block(select(vec4(0.0), block[0], there.x), select(vec4(0.0), block[1], there.y),
                 select(vec4(0.0), block[2], there.z), select(vec4(0.0), block[3], there.w));
}

// Four stored rows of four terms as four terms of four rows.
fn turned(x: Block) -> Block {
    return Block(vec4(x[0].x, x[1].x, x[2].x, x[3].x), vec4(x[0].y, x[1].y, x[2].y, x[3].y),
                 vec4(x[0].z, x[1].z, x[2].z, x[3].z), vec4(x[0].w, x[1].w, x[2].w, x[3].w));
}
