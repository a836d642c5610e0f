// Rows turned round; the last workgroup has rows for some of its invocations only.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<workgroup> tile: array<f32, 4>;

@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    tile[lane] = 0.0;
    if id.x < arrayLength(&x) { tile[lane] = x[id.x]; }
    workgroupBarrier();
    if id.x < arrayLength(&x) { y[id.x] = tile[3u - lane]; }
}
