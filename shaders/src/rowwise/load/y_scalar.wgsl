// Slot load: y and d_y, with any count of columns. Beyond the row its last column stands in.
@group(0) @binding(2) var<storage, read> y: array<Elem>;     // [rows, cols]
@group(0) @binding(3) var<storage, read> d_y: array<Elem>;   // [rows, cols]

fn elements(row: u32, col: u32) -> vec4<u32> {
    return vec4(row * params.cols + params.wide_shift) + min(columns(col), vec4(params.cols - 1u));
}
fn load_y(row: u32, col: u32) -> vec4<f32> {
    let at = elements(row, col);
    return vec4(f32(y[at.x]), f32(y[at.y]), f32(y[at.z]), f32(y[at.w]));
}
fn load_d_y(row: u32, col: u32) -> vec4<f32> {
    let at = elements(row, col);
    return vec4(f32(d_y[at.x]), f32(d_y[at.y]), f32(d_y[at.z]), f32(d_y[at.w]));
}
