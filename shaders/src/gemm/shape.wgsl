// Where an invocation is: sizes, the tile of c at hand, and where a and b are read. Linked to every variant of a dense product.
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
struct Tile {
    a: u32,     // unit where the batch entry's a starts
    b: u32,
    c: u32,     // element
    row: u32,   // first row and column
    col: u32,
}
var<private> at: Tile;

fn enter(place: u32) -> Turn {
    let group = params.first_group + place;
    let tiles = params.tiles_m * params.tiles_n;
    let batch = params.first_batch + group / tiles;
    let tile = walked(group % tiles, params.tiles_m, params.tiles_n);
    at.row = params.m_from + tile.x * TILE_ROWS;
    at.col = params.n_from + tile.y * TILE_COLS;
    at.a = batch * params.a_matrix + params.a_shift;
    at.b = batch * params.b_matrix + params.b_shift;
    at.c = batch * params.c_matrix + params.c_shift;
    return Turn(false, params.k_from, params.k_to, place, place);
}
fn row_end() -> u32 { return params.m_to; }
fn begins() -> bool { return params.k_from == 0u; }        // whether no term has been added yet
fn ends() -> bool { return params.k_to == params.k; }      // whether none are to come

fn bias4(col: u32) -> vec4<f32> {
    if params.bias_at == ABSENT { return vec4(0.0); }
    return bitcast<vec4<f32>>(side[params.bias_at + min(col, params.n - 1u) / 4u]);
}
