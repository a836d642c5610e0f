// The z-loss from its sum:  loss ← α·Σ_t lse_t² / T, and 0 without a token that counts.
//
// Owns: loss. One invocation.
struct Params {
    scale: f32,     // α
    nan: u32,       // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(1)
fn main() {
    let broken = (bitcast<u32>(sums[0]) & 0x7f800000u) == 0x7f800000u;
    let mean = select(sums[0], 0.0, broken) * (1.0 / max(sums[1], 1.0));
    loss[0] = select(params.scale * mean, bitcast<f32>(params.nan), broken);
}
