// The statistic of the logits s = scale·x of a row: shared by softmax, log-softmax and log-sum-exp. Logits are kept halved.
struct Logits {
    half: vec4<f32>,       // s / 2, clamped to ±LARGEST
    weighs: vec4<bool>,    // counts, and is not minus infinity
    bad: vec4<bool>,       // counts, and is a NaN or plus infinity
}

fn logits(row: Row, col: u32) -> Logits {
    let entry = load_x(row.index, col);                                   // [4]
    let counts = columns(col) < vec4(row.len);
    let half = clamp(entry * params.half_scale, vec4(-LARGEST), vec4(LARGEST));
    return Logits(half, counts & !is_minus_infinity(entry), counts & is_nan_or_plus_infinity(entry));
}

// (max, Σ exp(s − max)) of 16 columns, in quads `stride` columns apart.
fn gather(row: Row, col: u32, stride: u32) -> Stat {
    var quads: array<Logits, 4>;                                          // [4, 4]
    var tops = vec4(-LARGEST);
    var bad = vec4(false);
    for (var u = 0u; u < 4u; u++) { // unroll
        quads[u] = logits(row, col + u * stride);
        tops = max(tops, select(vec4(-LARGEST), quads[u].half, quads[u].weighs));
        bad = bad | quads[u].bad;
    }
    let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
    var sums = vec4(0.0);
    for (var u = 0u; u < 4u; u++) { // unroll
        sums += select(vec4(0.0), exp_twice(quads[u].half - vec4(top)), quads[u].weighs);
    }
    return Stat(top, total(sums), select(0u, BAD_VALUE, any(bad)));
}

fn is_bad(stat: Stat) -> bool { return (stat.marks & BAD_VALUE) != 0u; }
