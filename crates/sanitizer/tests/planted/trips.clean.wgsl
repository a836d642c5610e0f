// Euclid's algorithm, with a step that does not always shrink.
@group(0) @binding(0) var<storage, read> pair: array<u32>;
@group(0) @binding(1) var<storage, read_write> divisor: array<u32>;

@compute @workgroup_size(1)
fn main() {
    var a = pair[0];
    var b = pair[1];
    while b != 0u {
        let rest = a % b;
        a = b;
        b = rest;
    }
    divisor[0] = a;
}
