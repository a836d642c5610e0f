// Slot sink: the first of a row are its largest elements, stored as they are.
@group(0) @binding(6) var<storage, read_write> indices: array<u32>;

fn store_pair(row: u32, place: u32, pair: vec2<u32>) {
    if place >= params.count { return; }
    let to = row * params.count + place;
    let col = min(pair.y, params.cols - 1u);
    indices[to] = col;
    store_value(to, row * params.cols + col);
}
