// Multiply-adds in registers, 32 per trip and invocation; counts the trips that were really made; leaves workgroup memory dirty.

struct Params {
  trips: u32,
  one: u32,    // 1, unknown to the compiler
  scale: f32,
  offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> trips_made: array<u32>;  // [groups]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;        // [groups]: keeps the arithmetic alive

var<workgroup> dirt: array<u32, WORDS>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let start = f32(lane);
  var a = vec4<f32>(start);
  var b = vec4<f32>(start + 1.0);
  var c = vec4<f32>(start + 2.0);
  var d = vec4<f32>(start + 3.0);
  var made = 0u;
  for (var trip = 0u; trip < params.trips; trip++) {
    a = a * params.scale + params.offset;
    b = b * params.scale + params.offset;
    c = c * params.scale + params.offset;
    d = d * params.scale + params.offset;
    a = a * params.scale + params.offset;
    b = b * params.scale + params.offset;
    c = c * params.scale + params.offset;
    d = d * params.scale + params.offset;
    made += params.one;
  }
  for (var word = lane; word < WORDS; word += 64u) {
    dirt[word] = 0xdeadbeefu + made;
  }
  workgroupBarrier();
  if (lane == 0u) {
    let total = a + b + c + d;
    trips_made[group.x] = made;
    sums[group.x] = total.x + total.y + total.z + total.w + f32(dirt[made % WORDS] & 1u);
  }
}
