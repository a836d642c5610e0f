// Weights measured by their row and raised to POWER. A row's measures are its cut and its scale: of an even row, which keeps its own weights,
// the scale is negative.

// x^n, n up to 31: by products, pow is good to few digits.
fn power4(x: vec4<f32>, n: u32) -> vec4<f32> {
    var power = vec4(1.0);
    var square = x;
    for (var bit = 0u; bit < 5u; bit++) { // unroll
        power = select(power, power * square, ((n >> bit) & 1u) == 1u);
        square *= square;
    }
    return power;
}

// max(a - cut, 0)·|scale|: 1 for the largest of the row
fn measured4(a: vec4<f32>, measures: vec2<f32>) -> vec4<f32> { return max(a - measures.x, vec4(0.0)) * abs(measures.y); }

fn raised4(a: vec4<f32>, measures: vec2<f32>) -> vec4<f32> {
    let u = measured4(a, measures);
    return select(power4(u, POWER), u, measures.y < 0.0);
}

// The measures of row `row` of a sequence; 0 beyond it.
fn kept_measures(row: u32) -> vec2<f32> {
    let there = row < at.len_q;
    let word = params.measures_at + 2u * select(0u, at.stat_row + row, there);
    return select(vec2(0.0), vec2(side_f32(word), side_f32(word + 1u)), there);
}
