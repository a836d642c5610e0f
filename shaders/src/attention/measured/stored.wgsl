// Slot measured: the mean and the largest of a row's weights are outputs, which the gradient reads.
@group(0) @binding(18) var<storage, read_write> row_mean: array<f32>;
@group(0) @binding(19) var<storage, read_write> row_max: array<f32>;

fn store_measured(row: u32, mean: f32, largest: f32) {
    row_mean[row] = mean;
    row_max[row] = largest;
}
