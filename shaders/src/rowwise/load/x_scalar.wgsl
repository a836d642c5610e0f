// Slot load: x, with any count of columns. Beyond the row its last column stands in.
@group(0) @binding(1) var<storage, read> x: array<Elem>;   // [rows, cols]

fn load_x(row: u32, col: u32) -> vec4<f32> {
    let at = vec4(row * params.cols + params.wide_shift) + min(columns(col), vec4(params.cols - 1u));
    return vec4(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w]));
}
