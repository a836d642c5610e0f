// Slot phi: the user's own φ, a score at a time.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> { return vec4(phi(z.x), phi(z.y), phi(z.z), phi(z.w)); }
