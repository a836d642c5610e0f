// A sum over a workgroup, in halves.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<workgroup> part: array<f32, 8>;

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    part[lane] = x[group.x * 8u + lane];
    // planted: no workgroupBarrier()
    for (var half = 4u; half > 0u; half /= 2u) {
        if lane < half { part[lane] += part[lane + half]; } // FAULT
        workgroupBarrier();
    }
    if lane == 0u { y[group.x] = part[0]; }
}
