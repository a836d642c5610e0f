// The second product's bias.
@group(0) @binding(6) var<storage, read> b_down: array<f32>;      // [experts, hidden]

fn bias(at: u32) -> f32 { return b_down[at]; }
