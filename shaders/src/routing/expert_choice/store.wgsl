// Slot sink: the first of an expert's row are the tokens that it takes; a key of 0 is one that it may not take.
@group(0) @binding(5) var<storage, read_write> weights: array<u32>;
@group(0) @binding(6) var<storage, read_write> indices: array<u32>;

const NO_ROW: u32 = 0x7fffffffu;

fn store_pair(row: u32, place: u32, pair: vec2<u32>) {
    if place >= params.count { return; }
    let to = row * params.count + place;
    let taken = pair.x != 0u;
    indices[to] = select(NO_ROW, pair.y, taken);
    weights[to] = select(0u, pair.x - 1u, taken);
}
