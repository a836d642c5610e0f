// Running sums, of which the first was forgotten.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn main() {
    // planted: y[0] = x[0];
    for (var i = 1u; i < arrayLength(&x); i++) {
        y[i] = y[i - 1u] + x[i]; // FAULT
    }
}
