// Slot load_slopes: rows of r as those of q, beside io/load_vec4.wgsl.
@group(0) @binding(24) var<storage, read> r: array<vec4<Elem>>;

fn r_row(i: u32) -> u32 { return q_row(i); }
fn r4(row: u32, skip: u32, d4: u32) -> vec4<f32> { return vec4<f32>(r[row + min(d4, params.head_dim / 4u - 1u) + skip]); }
