// Slot load: stored rows are multiples of 4 long and read as quads. The unit must be there.
@group(0) @binding(2) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<Elem>>;

const UNIT: u32 = 4u;

fn load_a(unit: u32) -> vec4<f32> { return vec4<f32>(a[unit]); }
fn load_b(unit: u32) -> vec4<f32> { return vec4<f32>(b[unit]); }
