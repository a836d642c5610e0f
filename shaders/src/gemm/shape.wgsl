// Where an invocation is: sizes, the tile of c at hand, and where a and b are read. Linked to every variant.
// A unit is what one access moves: UNIT elements, a quad with vec4 access, else one. Indices are modulo 2^32.

struct Params {
    first_group: u32,   // this dispatch runs workgroups first_group .. first_group + group_count of its region
    group_count: u32,
    first_batch: u32,   // the region: batch entries from here, rows m_from .. m_to, columns n_from .. n_to
    m_from: u32,
    m_to: u32,
    n_from: u32,
    n_to: u32,
    tiles_m: u32,       // tiles of a batch entry in the region
    tiles_n: u32,
    k_from: u32,        // this dispatch adds terms k_from .. k_to
    k_to: u32,
    k: u32,
    n: u32,             // columns of c
    a_row: u32,         // units of a stored row of a
    b_row: u32,
    a_matrix: u32,      // units from one batch entry to the next: 0 if shared
    b_matrix: u32,
    c_matrix: u32,      // elements
    a_shift: u32,       // minus the first unit of the bound window
    b_shift: u32,
    c_shift: u32,       // in elements
    a_last: u32,        // last unit that is bound
    b_last: u32,
    alpha: f32,
    bias_at: u32,       // quad of side where it starts; ABSENT if there is none
    state_at: u32,      // sums between two dispatches of one workgroup
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> side: array<vec4<u32>>;

const ABSENT: u32 = 0xffffffffu;
const BAND: u32 = 8u;   // rows of tiles that are walked together, so that neighbours find b in a cache

struct Tile {
    a: u32,     // unit where the batch entry's a starts
    b: u32,
    c: u32,     // element
    row: u32,   // first row and column
    col: u32,
}
var<private> at: Tile;

fn enter(group: u32) {
    let tiles = params.tiles_m * params.tiles_n;
    let batch = params.first_batch + group / tiles;
    let tile = group % tiles;
    let band = tile / (BAND * params.tiles_n);
    let height = min(BAND, params.tiles_m - band * BAND);
    let within = tile - band * BAND * params.tiles_n;
    at.row = params.m_from + (band * BAND + within % height) * TILE_ROWS;
    at.col = params.n_from + within / height * TILE_COLS;
    at.a = batch * params.a_matrix + params.a_shift;
    at.b = batch * params.b_matrix + params.b_shift;
    at.c = batch * params.c_matrix + params.c_shift;
}

// Four rows or columns by four terms of a sum: [e] holds the four at term e.
alias Block = array<vec4<f32>, 4>;

// Terms from k_to on count as 0 on both sides: what is read in their place may be a NaN.
fn masked(block: Block, depth: u32) -> Block {
    let there = vec4(depth) + vec4(0u, 1u, 2u, 3u) < vec4(params.k_to);
    return Block(select(vec4(0.0), block[0], there.x), select(vec4(0.0), block[1], there.y),
                 select(vec4(0.0), block[2], there.z), select(vec4(0.0), block[3], there.w));
}

// Four stored rows of four terms as four terms of four rows.
fn turned(x: Block) -> Block {
    return Block(vec4(x[0].x, x[1].x, x[2].x, x[3].x), vec4(x[0].y, x[1].y, x[2].y, x[3].y),
                 vec4(x[0].z, x[1].z, x[2].z, x[3].z), vec4(x[0].w, x[1].w, x[2].w, x[3].w));
}
