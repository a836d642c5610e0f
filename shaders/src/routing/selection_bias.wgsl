// A step of the bias by which experts are selected:  selection_bias[e] += rate·sign(Σ counts - E·counts[e]), compared exactly, in 64 bits.
//
// Owns: all of selection_bias, in one workgroup. Where both sides are equal, or the bias is not finite, it keeps its bits.
struct Params {
    experts: u32,
    rate: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> selection_bias: array<f32>;

var<workgroup> sums: array<vec2<u32>, INVOCATIONS>;     // low and high word

fn add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}

// n·m of an m below 2^16, by the halves of n.
fn product(n: u32, m: u32) -> vec2<u32> {
    let high = (n >> 16u) * m;
    return add(vec2((n & 0xffffu) * m, 0u), vec2(high << 16u, high >> 16u));
}

fn is_above(a: vec2<u32>, b: vec2<u32>) -> bool { return (a.y > b.y) | ((a.y == b.y) & (a.x > b.x)); }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(local_invocation_index) lane: u32) {
    var own = vec2(0u);
    for (var e = lane; e < params.experts; e += INVOCATIONS) { own = add(own, vec2(counts[e], 0u)); }
    sums[lane] = own;
    workgroupBarrier();
    for (var width = INVOCATIONS / 2u; width > 0u; width /= 2u) {
        if lane < width { sums[lane] = add(sums[lane], sums[lane + width]); }
        workgroupBarrier();
    }
    let total = sums[0];
    for (var e = lane; e < params.experts; e += INVOCATIONS) {
        let load = product(counts[e], params.experts);
        let bias = selection_bias[e];
        let finite = (bitcast<u32>(bias) & 0x7f800000u) != 0x7f800000u;
        if finite & is_above(total, load) { selection_bias[e] = bias + params.rate; }
        if finite & is_above(load, total) { selection_bias[e] = bias - params.rate; }
    }
}
