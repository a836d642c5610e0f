// The largest of the numbers below a limit.
struct Params { limit: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> best: array<f32, 4>;

@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
    best[lane] = select(0.0, x[lane], x[lane] < params.limit);
    workgroupBarrier();
    if lane == 0u {
        y[0] = max(max(best[0], best[1]), max(best[2], best[3]));
    }
}
