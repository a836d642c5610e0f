// Self-test of f16: every finite number by quads through workgroup memory, and as f32; numbers of f32 narrowed, stored one at a time.

@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;              // [COUNT / 4]
@group(0) @binding(2) var<storage, read> wide: array<f32>;                 // [COUNT / 4]
@group(0) @binding(3) var<storage, read_write> copied: array<vec4<f16>>;   // [COUNT / 4]
@group(0) @binding(4) var<storage, read_write> widened: array<vec4<f32>>;  // [COUNT / 4]
@group(0) @binding(5) var<storage, read_write> narrowed: array<f16>;       // [COUNT / 4]

var<workgroup> tile: array<vec4<f16>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3<u32>) {
  let at = id.x;
  tile[lane] = x[at];
  workgroupBarrier();
  // Another invocation's quad.
  let other = 63u - lane;
  copied[at - lane + other] = tile[other];
  widened[at] = vec4<f32>(x[at]);
  narrowed[at] = f16(wide[at]);
}
