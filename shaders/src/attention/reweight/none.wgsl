// Slot reweight: weights are what φ gives.
fn reweight_begin() {}
fn reweighted4(r: u32, a: vec4<f32>) -> vec4<f32> { return a; }
