// Where an invocation is: the shape of grouped_gemm_weights. An entry of `ranks` is an expert; the terms of its sums are its rows, of which a
// dispatch adds those within its own range of rows. So a dispatch adds no more than that range, however the rows are shared out, and of each
// tile at most one expert's sums wait for the next dispatch: they do so in one of two places by turns, since another's may come from there.
// A unit is what one access moves: UNIT elements, a quad with vec4 access, else one.

struct Params {
    first_group: u32,   // this dispatch runs workgroups first_group .. first_group + group_count: those of an expert one after another
    group_count: u32,
    first_tile: u32,    // tiles first_tile .. first_tile + tile_count of each expert's d_w
    tile_count: u32,
    experts: u32,
    rows: u32,
    row_from: u32,      // this dispatch adds rows row_from .. row_to
    row_to: u32,
    range: u32,         // its number
    tiles_m: u32,
    tiles_n: u32,
    m_to: u32,          // rows and columns of an expert's d_w
    n_to: u32,
    n: u32,
    a_row: u32,         // units of a row of a and of b, which lie as [rows, m] and [rows, n]
    b_row: u32,
    c_matrix: u32,      // elements of an expert's d_w
    a_last: u32,        // last unit
    b_last: u32,
    alpha: f32,
    state_at: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> side: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> ranks: array<vec4<u32>>;   // expert, first row, end row

struct Tile {
    a: u32,
    b: u32,
    c: u32,             // element where the expert's d_w starts
    row: u32,           // first row and column
    col: u32,
    begins: bool,
    ends: bool,
}
var<private> at: Tile;

fn enter(place: u32) -> Turn {
    let group = params.first_group + place;
    let entry = ranks[min(group / params.tile_count, params.experts - 1u)];
    let within = group % params.tile_count;
    let tile = walked(params.first_tile + within, params.tiles_m, params.tiles_n);
    let first = min(entry.y, params.rows);
    let end = min(entry.z, params.rows);
    let is_empty = first >= end;
    let here = max(first, params.row_from);
    let here_end = max(min(end, params.row_to), here);
    at.row = tile.x * TILE_ROWS;
    at.col = tile.y * TILE_COLS;
    at.c = min(entry.x, params.experts - 1u) * params.c_matrix;
    at.a = here * params.a_row;     // terms are counted from there
    at.b = here * params.b_row;
    at.begins = is_empty | (first >= params.row_from);
    at.ends = is_empty | (end <= params.row_to);
    // An expert without rows has its zeros from the first dispatch.
    let idle = select(here == here_end, params.range != 0u, is_empty);
    return Turn(idle, 0u, here_end - here, (params.range + 1u) % 2u * params.tile_count + within,
                params.range % 2u * params.tile_count + within);
}
fn row_end() -> u32 { return params.m_to; }
fn begins() -> bool { return at.begins; }      // whether no term has been added yet
fn ends() -> bool { return at.ends; }          // whether none are to come
