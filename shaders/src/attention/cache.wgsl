// cache append: new rows are written behind those that a cache holds, in place.
//
//   cache[b, h, lens[b] + t] ← x[b, h, t]        t < rows_of(b)
//
// Owns: where its element of x goes; nothing else of the cache is touched. One element of x an invocation. Slots: place, count.
struct Params {
    first: u32,         // element of this dispatch
    end: u32,
    group_count: u32,
    heads: u32,
    seq: u32,
    dim: u32,
    max_len: u32,
    page: u32,          // rows in a page
    pages: u32,
    table_pages: u32,   // columns of block_table
    inner: u32,         // rows of the inner dimension of x: tokens or heads
    tokens_first: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> cache: array<Elem>;
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> lens: array<u32>;

const NOWHERE: u32 = 0xffffffffu;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let element = params.first + group * INVOCATIONS + invocation;
    if element >= params.end { return; }
    let row = element / params.dim;
    let batch = row / (params.heads * params.seq);
    let within = row % (params.heads * params.seq);
    let outer = within / params.inner;
    let inner = within % params.inner;
    let turned = params.tokens_first == 1u;
    let token = select(inner, outer, turned);
    let head = select(outer, inner, turned);
    // Lengths come from a buffer: what finds no room is not written.
    let position = min(lens[batch], params.max_len) + token;
    if (token >= rows_of(batch)) | (position >= params.max_len) { return; }
    let place = place_of(batch, head, position);
    if place != NOWHERE { cache[place * params.dim + element % params.dim] = x[element]; }
}
