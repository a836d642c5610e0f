// Self-test of kernels without runtime checks: arrays of all kinds indexed by what is not known before, loops of as many trips, a range of a
// buffer as a whole. Run with the checks and without, to the same bits.

struct Params {
  count: u32, // words of the range, at least 1
  trips: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;         // [count]
@group(0) @binding(2) var<storage, read_write> mixed: array<u32>;   // [count]

var<workgroup> beside: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3<u32>) {
  let at = id.x;
  var own: array<u32, 8>;
  for (var i = 0u; i < 8u; i++) {
    own[(i + lane) % 8u] = words[(at + i * params.trips) % params.count];
  }
  beside[63u - lane] = own[lane % 8u];
  workgroupBarrier();
  var sum = 0u;
  for (var trip = 0u; trip < params.trips; trip++) {
    sum = sum * 1664525u + (beside[(lane + trip) % 64u] ^ own[(trip + at) % 8u]);
  }
  if (at < params.count) {
    mixed[at] = sum;
  }
}
