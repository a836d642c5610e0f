// Slot load: x, whose rows have a multiple of 4 columns. Beyond the row its last columns stand in.
@group(0) @binding(1) var<storage, read> x: array<vec4<Elem>>;   // [rows, cols / 4]

fn load_x(row: u32, col: u32) -> vec4<f32> {
    return vec4<f32>(x[(row * params.cols + min(col, params.cols - 4u) + params.wide_shift) / 4u]);
}
