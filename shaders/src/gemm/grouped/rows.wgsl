// Where an invocation is: the shape of grouped_gemm. A row of tiles is an entry of `tiles`: at most TILE_ROWS rows of one expert, or of none,
// whose y is 0, or no rows. A unit is what one access moves: UNIT elements, a quad with vec4 access, else one.

struct Params {
    first_group: u32,   // this dispatch runs workgroups first_group .. first_group + group_count
    group_count: u32,
    experts: u32,
    tiles_m: u32,       // entries of tiles
    tiles_n: u32,
    m_to: u32,          // rows
    n_to: u32,          // columns of y
    n: u32,
    k_from: u32,        // this dispatch adds terms k_from .. k_to
    k_to: u32,
    k: u32,
    a_row: u32,         // units of a row of x
    b_row: u32,         // units of a stored row of w
    b_matrix: u32,      // units of an expert's w
    a_last: u32,        // last unit of x and of w
    b_last: u32,
    alpha: f32,
    state_at: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> side: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> tiles: array<vec4<u32>>;   // expert, first row, end row

const NONE: u32 = 0xffffffffu;   // no expert

struct Tile {
    a: u32,         // unit where x starts
    b: u32,         // where the expert's w does
    c: u32,
    row: u32,       // first row and column
    col: u32,
    row_end: u32,
    expert: u32,
}
var<private> at: Tile;

fn enter(place: u32) -> Turn {
    let tile = walked(params.first_group + place, params.tiles_m, params.tiles_n);
    let entry = tiles[min(tile.x, params.tiles_m - 1u)];
    at.row = entry.y;
    at.row_end = min(entry.z, params.m_to);
    at.col = tile.y * TILE_COLS;
    at.expert = select(min(entry.x, params.experts - 1u), NONE, entry.x == NONE);
    at.b = select(at.expert * params.b_matrix, 0u, entry.x == NONE);
    return Turn(entry.y >= entry.z, params.k_from, select(params.k_to, params.k_from, entry.x == NONE), place, place);
}
fn row_end() -> u32 { return at.row_end; }
fn begins() -> bool { return params.k_from == 0u; }        // whether no term has been added yet
fn ends() -> bool { return params.k_to == params.k; }      // whether none are to come
