// How f32 becomes f16.

@group(0) @binding(1) var<storage, read> x: array<f32>;        // [4]
@group(0) @binding(2) var<storage, read_write> y: array<f16>;  // [4]

@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
  y[lane] = f16(x[lane]);
}
