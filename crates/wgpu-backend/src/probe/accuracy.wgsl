// Accuracy of builtins, and what the adapter makes of special values. One invocation per point.

struct Params {
  zero: u32, // 0, unknown to the compiler
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;            // [6, POINTS]
@group(0) @binding(2) var<storage, read> special: array<f32>;      // [7]: 1e-40, 1, 1e8, NaN, NaN, inf, 0
@group(0) @binding(3) var<storage, read_write> y: array<f32>;      // [5, POINTS]
@group(0) @binding(4) var<storage, read_write> facts: array<u32>;  // [4]

fn is_nan(value: f32) -> u32 {
  return select(0u, 1u, (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let at = id.x;
  if (at < POINTS) {
    y[at] = exp(x[at]);
    y[POINTS + at] = exp2(x[POINTS + at]);
    y[2u * POINTS + at] = log(x[2u * POINTS + at]);
    y[3u * POINTS + at] = x[3u * POINTS + at] / x[4u * POINTS + at];
    y[4u * POINTS + at] = inverseSqrt(x[5u * POINTS + at]);
  }
  if (at == 0u) {
    let one = special[1];
    let big = special[2];
    facts[0] = bitcast<u32>(special[0] * one);
    facts[1] = bitcast<u32>((big + one) - big);
    facts[2] = bitcast<u32>(bitcast<f32>(bitcast<u32>(big + one) ^ params.zero) - big);
    // Bits 0 and 1: a NaN was found; 2, 3 and 4: inf, 1 or 0 was taken for one.
    facts[3] = is_nan(special[3]) | (is_nan(special[4]) << 1u) | (is_nan(special[5]) << 2u)
      | (is_nan(one) << 3u) | (is_nan(special[6]) << 4u);
  }
}
