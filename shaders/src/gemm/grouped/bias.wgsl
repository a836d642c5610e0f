// Slot bias: a row for each expert.
@group(0) @binding(5) var<storage, read> bias: array<f32>;     // [experts, n]

fn bias4(col: u32) -> vec4<f32> {
    if at.expert == NONE { return vec4(0.0); }
    let e = at.expert * params.n + min(vec4(col) + vec4(0u, 1u, 2u, 3u), vec4(params.n - 1u));
    return vec4(bias[e.x], bias[e.y], bias[e.z], bias[e.w]);
}
