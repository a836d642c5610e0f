// Counts the trips that a loop really makes; then multiply-adds in registers, 128 per trip and invocation. Leaves workgroup memory dirty.

struct Params {
  counted: u32,  // trips of the counting loop
  trips: u32,    // trips of the arithmetic loop
  one: u32,      // 1, unknown to the compiler
  scale: f32,
  offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> trips_made: array<u32>;  // [groups]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;        // [groups]: keeps the arithmetic alive

var<workgroup> dirt: array<u32, WORDS>;

fn advance(start: vec4<f32>) -> vec4<f32> {
  var v = start;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  v = v * params.scale + params.offset;
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  var made = 0u;
  for (var trip = 0u; trip < params.counted; trip++) {
    made += params.one;
  }
  var a = vec4<f32>(f32(lane));
  var b = a + 1.0;
  var c = a + 2.0;
  var d = a + 3.0;
  for (var trip = 0u; trip < params.trips; trip++) {
    a = advance(a);
    b = advance(b);
    c = advance(c);
    d = advance(d);
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
