// Slot narrow: what is stored is an output, which overflows as its type does.
fn narrowed(value: vec4<f32>) -> vec4<Elem> { return vec4<Elem>(value); }
