// Self-test of matrix units: sums of products that f32 holds exactly, so that every bit of the result is known. Two accumulators live across a
// loop; operands come from workgroup memory as they lie and transposed, accumulators start from memory.

struct Params {
  trips: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f16>>;            // [groups, trips, EDGE, EDGE]
@group(0) @binding(2) var<storage, read> b: array<vec4<f16>>;            // [groups, trips, EDGE, EDGE]
@group(0) @binding(3) var<storage, read> c: array<vec4<f32>>;            // [groups, EDGE, EDGE]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;      // [groups, 2, EDGE, EDGE]: c + Σ a·bᵀ, c + Σ a·b

const STRIDE4: u32 = EDGE / 4u + 2u;
const WORDS4: u32 = EDGE * EDGE / 4u;

var<workgroup> left: array<vec4<f16>, EDGE * STRIDE4>;
var<workgroup> right: array<vec4<f16>, EDGE * STRIDE4>;
var<workgroup> sums: array<vec4<f32>, EDGE * STRIDE4>;

// Place of vec4 n of a matrix whose rows are padded.
fn padded(n: u32) -> u32 { return n / (EDGE / 4u) * STRIDE4 + n % (EDGE / 4u); }

fn write_out(first: u32, lane: u32) {
  workgroupBarrier();
  for (var n = lane; n < WORDS4; n += LANES) {
    y[first + n] = sums[padded(n)];
  }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  for (var n = lane; n < WORDS4; n += LANES) {
    sums[padded(n)] = c[group.x * WORDS4 + n];
  }
  workgroupBarrier();
  var acc: array<Sum, 2>;
  acc[0] = coopLoadT<Sum>(&sums[0], STRIDE4);
  acc[1] = acc[0] + acc[1];
  for (var trip = 0u; trip < params.trips; trip++) {
    workgroupBarrier();
    for (var n = lane; n < WORDS4; n += LANES) {
      left[padded(n)] = a[(group.x * params.trips + trip) * WORDS4 + n];
      right[padded(n)] = b[(group.x * params.trips + trip) * WORDS4 + n];
    }
    workgroupBarrier();
    let rows = coopLoadT<Left>(&left[0], STRIDE4);
    let transposed = coopLoad<Right>(&right[0], STRIDE4);
    let straight = coopLoadT<Right>(&right[0], STRIDE4);
    acc[0] = coopMultiplyAdd(rows, transposed, acc[0]);
    acc[1] = coopMultiplyAdd(rows, straight, acc[1]);
  }
  workgroupBarrier();
  coopStoreT(acc[0], &sums[0], STRIDE4);
  write_out(group.x * 2u * WORDS4, lane);
  coopStoreT(acc[1], &sums[0], STRIDE4);
  write_out((group.x * 2u + 1u) * WORDS4, lane);
}
