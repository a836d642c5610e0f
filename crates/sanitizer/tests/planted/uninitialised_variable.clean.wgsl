// The number at the first index that holds one above a limit.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var found = -1.0;
    for (var i = 0u; i < arrayLength(&x); i++) {
        if x[i] > 100.0 { found = x[i]; break; }
    }
    y[0] = found;
}
