// Slot mean: it is kept for the kernels of the gradient.
@group(0) @binding(5) var<storage, read_write> visible_mean: array<f32>;

fn take_mean(row: Row, d: u32, mean: f32, is_broken: bool) {
    visible_mean[row.start + d] = select(mean, bitcast<f32>(NAN_BITS), is_broken);
}
