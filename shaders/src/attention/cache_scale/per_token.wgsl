// Slot scale: each row has its own, max |x| / 127 to the nearest f32, written beside it: NaN if the row holds what is not finite, 0 if it would
// not be a normal number.
@group(0) @binding(6) var<storage, read_write> cache_scale: array<u32>;

var<workgroup> largest: array<atomic<u32>, INVOCATIONS>;    // of each row of the workgroup, as bits

const LEAST: u32 = 0x04000000u; // 2^-119

fn row_scale(local: u32, head: u32, magnitudes: vec4<u32>) -> u32 {
    atomicStore(&largest[local], 0u);
    workgroupBarrier();
    let of_word = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
    atomicMax(&largest[local], of_word);
    workgroupBarrier();
    let bits = atomicLoad(&largest[local]);
    // 2^7·mantissa / 127 has 24 digits, or 25: then half of it.
    let n = mantissa(bits) << 7u;
    let half = n / 127u >= 0x1000000u;
    let digits = rounded(n, select(127u, 254u, half));
    // What the rounding carries goes into the exponent.
    let scale = ((exponent(bits) - select(8u, 7u, half)) << 23u) + digits;
    return select(select(scale, 0u, bits < LEAST), 0x7fc00000u, bits >= INFINITY);
}
fn store_scale(place: u32, scale: u32) { cache_scale[place] = scale; }
