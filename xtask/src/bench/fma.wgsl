// Ceiling of arithmetic: multiply-adds in registers, four independent chains of vec4, nothing loaded.
// Owns: one invocation, one sum. Consts: none. Alias: Real. Work: 64 multiply-adds a round and invocation.

struct Params {
    rounds: u32,
    factor: f32,
    addend: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // Converges to 1: neither overflow nor denormals.
    let factor = vec4<Real>(Real(params.factor));
    let addend = vec4<Real>(Real(params.addend));
    var a = vec4<Real>(Real(id.x & 7u));
    var b = a + addend;
    var c = b + addend;
    var d = c + addend;
    for (var round = 0u; round < params.rounds; round++) {
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        d = fma(d, factor, addend);
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        d = fma(d, factor, addend);
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        d = fma(d, factor, addend);
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        d = fma(d, factor, addend);
    }
    let sum = a + b + c + d;
    sums[id.x] = f32(sum.x + sum.y + sum.z + sum.w);
}
