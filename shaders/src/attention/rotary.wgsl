// rotary embedding: pairs of a row are turned by the angle of the row's position; the rest of the row passes through.
//
//   y_a ← x_a·cos - x_b·sin,   y_b ← x_a·sin + x_b·cos       cos, sin: caches[position, pair]
//
// Owns: a pair of y, or an element that passes through. One of them an invocation: a row has first its pairs, then the others.
struct Params {
    first: u32,             // slot of this dispatch
    end: u32,
    group_count: u32,
    slots: u32,             // of a row
    pairs: u32,             // of a row
    pair_step: u32,         // pair p begins at p·pair_step …
    pair_gap: u32,          // … and ends so much later
    head_dim: u32,
    batch_rows: u32,
    inner: u32,             // rows of the inner dimension: tokens or heads
    last_position: u32,
    positions_batch: u32,   // strides of positions
    positions_token: u32,
    token_step: u32,        // what a token adds to the position of its batch entry
    tokens_first: u32,
    direction: f32,         // ±1
    nan: u32,               // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> cos_cache: array<f32>;
@group(0) @binding(3) var<storage, read> sin_cache: array<f32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;

fn is_not_finite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u; }

// Positions come from a buffer: one beyond the caches is taken for the last, so that every index is in range.
fn position_of(row: u32) -> u32 {
    let within = row % params.batch_rows;
    let token = select(within % params.inner, within / params.inner, params.tokens_first == 1u);
    let base = positions[row / params.batch_rows * params.positions_batch + token * params.positions_token];
    return min(min(base, params.last_position) + token * params.token_step, params.last_position);
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let at = params.first + place * INVOCATIONS + invocation;
    if at >= params.end { return; }
    let row = at / params.slots;
    let slot = at % params.slots;
    if slot >= params.pairs {
        let element = row * params.head_dim + params.pairs + slot;
        y[element] = x[element];
        return;
    }
    let a = row * params.head_dim + slot * params.pair_step;
    let b = a + params.pair_gap;
    let angle = position_of(row) * params.pairs + slot;
    let cosine = cos_cache[angle];
    let sine = sin_cache[angle];
    let x_a = f32(x[a]);
    let x_b = f32(x[b]);
    let broken = is_not_finite(cosine) | is_not_finite(sine) | is_not_finite(x_a) | is_not_finite(x_b);
    let turn = sine * params.direction;
    let nan = bitcast<f32>(params.nan);
    y[a] = Elem(select(x_a * cosine - x_b * turn, nan, broken));
    y[b] = Elem(select(x_a * turn + x_b * cosine, nan, broken));
}
