// Slot narrow: what is stored is read again by maps of rows, which take an infinity for an input that was not finite: f16 saturates instead.
// NaN is lost by it, and set by the kernels that mark, which run later.
const LARGEST: f32 = 65504.0;
fn narrowed(value: vec4<f32>) -> vec4<Elem> { return vec4<Elem>(clamp(value, vec4(-LARGEST), vec4(LARGEST))); }
