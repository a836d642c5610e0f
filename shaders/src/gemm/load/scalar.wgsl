// Slot load: stored rows of any length, read one element at a time; four from the unit on, of which those beyond the end
// read as the last one.
@group(0) @binding(2) var<storage, read> a: array<Elem>;
@group(0) @binding(3) var<storage, read> b: array<Elem>;

const UNIT: u32 = 1u;

fn load_a(unit: u32) -> vec4<f32> {
    let e = min(vec4(unit) + vec4(0u, 1u, 2u, 3u), vec4(params.a_last));
    return vec4(f32(a[e.x]), f32(a[e.y]), f32(a[e.z]), f32(a[e.w]));
}
fn load_b(unit: u32) -> vec4<f32> {
    let e = min(vec4(unit) + vec4(0u, 1u, 2u, 3u), vec4(params.b_last));
    return vec4(f32(b[e.x]), f32(b[e.y]), f32(b[e.z]), f32(b[e.w]));
}
