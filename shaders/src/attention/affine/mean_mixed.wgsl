// Slot mean: rows are moved towards it; those beyond a sequence get 0.
//
//   y_i ← alpha_i · x_i + (alpha_mean_h - alpha_i) · mean_i
@group(0) @binding(5) var<storage, read> x: array<Elem>;
@group(0) @binding(6) var<storage, read> alpha: array<f32>;
@group(0) @binding(7) var<storage, read> alpha_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> y: array<Elem>;

fn take_mean(row: Row, d: u32, mean: f32, is_broken: bool) {
    let a = alpha[row.stat];
    let element = f32(x[row.start + d]);
    let moved = a * element + (alpha_mean[at.q_head] - a) * mean;
    // an infinity stays one, in the direction that alpha gives it
    let value = select(moved, scaled(a, element), is_not_finite(bitcast<u32>(element)));
    let result = select(saturated(value, element), bitcast<f32>(NAN_BITS), is_broken);
    y[row.start + d] = Elem(select(0.0, result, row.counts));
}
