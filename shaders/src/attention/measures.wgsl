// What the weights of a row are measured by, from their mean and the largest of them:
//   t = a/mean - offset over its largest = (a - cut)·scale      cut = offset·mean, scale = 1/(largest - cut)
// An even row keeps its own weights: cut = 0, scale = -1/largest. A row of zeros has neither.
const LEAST_EXCESS: f32 = 1.0e-5;
const LEAST_SCALED: f32 = 1.1754944e-38; // 2^-126: the smallest number with a reciprocal

// What is taken from the measured weights of query i.
fn offset_of(i: u32) -> f32 {
    let position = i32(i) + select(at.off, 0, params.top_left == 1u);
    return select(params.offset, 0.0, position < i32(params.offset_rows));
}

fn measures(i: u32, mean: f32, largest: f32) -> vec2<f32> {
    let cut = offset_of(i) * mean;
    let span = largest - cut;
    if largest < LEAST_SCALED { return vec2(0.0); }
    if (span < LEAST_EXCESS * mean) | (span < LEAST_SCALED) { return vec2(0.0, -1.0 / largest); }
    return vec2(cut, 1.0 / span);
}
