// Slot load: y and d_y, whose rows have a multiple of 4 columns. Beyond the row its last columns stand in.
@group(0) @binding(2) var<storage, read> y: array<vec4<Elem>>;     // [rows, cols / 4]
@group(0) @binding(3) var<storage, read> d_y: array<vec4<Elem>>;   // [rows, cols / 4]

fn quad(row: u32, col: u32) -> u32 { return (row * params.cols + min(col, params.cols - 4u) + params.wide_shift) / 4u; }
fn load_y(row: u32, col: u32) -> vec4<f32> { return vec4<f32>(y[quad(row, col)]); }
fn load_d_y(row: u32, col: u32) -> vec4<f32> { return vec4<f32>(d_y[quad(row, col)]); }
