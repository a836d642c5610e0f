// Slot mean: rows are moved towards it; those beyond a sequence get 0.
//
//   y_i ← alpha_i · x_i + (alpha_mean_h - alpha_i) · mean_i
@group(0) @binding(5) var<storage, read> x: array<ElemPart>;
@group(0) @binding(6) var<storage, read> alpha: array<f32>;
@group(0) @binding(7) var<storage, read> alpha_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> y: array<ElemPart>;

fn take_mean(row: Row, d: u32, mean: Part, is_broken: Flags) {
    let a = alpha[row.stat];
    let given = Part(x[row.start + d]);
    let moved = a * given + (alpha_mean[at.q_head] - a) * mean;
    // an infinity stays one, in the direction that alpha gives it
    let value = part_saturated(select(moved, part_scaled(a, given), part_is_lost(given)), given);
    y[row.start + d] = ElemPart(select(Part(0.0), part_or_nan(value, is_broken), row.counts));
}
