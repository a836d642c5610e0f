// Slot finite: a stream element that is not finite counts as 0, so that it cannot reach a row that does not see it; the rows that do see
// it are marked afterwards. Whether there is any was found by the scan.
fn any_not_finite() -> bool { return side[params.flags_at - 1u] != 0u; }
fn finite4(x: vec4<f32>) -> vec4<f32> {
    let exponent = bitcast<vec4<u32>>(x) & vec4(0x7f800000u);
    return select(x, vec4(0.0), exponent == vec4(0x7f800000u));
}
