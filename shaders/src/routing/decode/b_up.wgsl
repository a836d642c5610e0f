// The first product's bias.
@group(0) @binding(5) var<storage, read> b_up: array<f32>;        // [experts, up]

fn bias(at: u32) -> f32 { return b_up[at]; }
