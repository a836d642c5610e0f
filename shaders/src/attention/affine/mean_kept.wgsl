// Slot mean: it is kept for the kernels of the gradient.
@group(0) @binding(5) var<storage, read_write> visible_mean: array<Part>;

fn take_mean(row: Row, d: u32, mean: Part, is_broken: Flags) {
    visible_mean[row.start + d] = part_or_nan(mean, is_broken);
}
