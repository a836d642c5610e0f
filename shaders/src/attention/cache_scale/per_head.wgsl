// Slot scale: each head has its own, which is given.
@group(0) @binding(6) var<storage, read> cache_scale: array<u32>;

fn row_scale(local: u32, head: u32, magnitudes: vec4<u32>) -> u32 { return cache_scale[head]; }
fn store_scale(place: u32, scale: u32) {}
