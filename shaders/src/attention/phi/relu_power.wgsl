// Slot phi: φ(z) = max(z, 0)^DEGREE; φ'(z) = DEGREE·max(z, 0)^(DEGREE - 1), 0 from 0 down. By products: pow is good to few digits.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> {
    let positive = max(z, vec4(0.0));
    var power = vec4(1.0);
    for (var n = 0u; n < DEGREE; n++) { // unroll
        power *= positive;
    }
    return power;
}
fn phi_slope4(z: vec4<f32>) -> vec4<f32> {
    let positive = max(z, vec4(0.0));
    var slope = select(vec4(0.0), vec4(f32(DEGREE)), z > vec4(0.0));
    for (var n = 0u; n < DEGREE; n++) { // unroll
        slope = select(slope * positive, slope, n == 0u);   // one factor fewer
    }
    return slope;
}
