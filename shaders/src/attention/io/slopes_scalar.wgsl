// Slot load_slopes: rows of r as those of q, beside io/load_scalar.wgsl.
@group(0) @binding(24) var<storage, read> r: array<Elem>;

fn r_row(i: u32) -> u32 { return q_row(i); }
fn r4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(row + skip) + min(d, vec4(params.head_dim - 1u));
    return select(vec4(0.0), vec4<f32>(f32(r[e.x]), f32(r[e.y]), f32(r[e.z]), f32(r[e.w])), d < vec4(params.head_dim));
}
