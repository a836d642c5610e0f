// Slot correction: every weight is in the row's sum; and a re-weighted row's measures go to side, from what the forward pass saved.
@group(0) @binding(18) var<storage, read> row_mean: array<f32>;
@group(0) @binding(19) var<storage, read> row_max: array<f32>;

fn row_correction(sum: f32, delta: f32) -> f32 { return delta; }
fn store_gradient(row: u32, delta: u32) {
    let stat = row - params.lse_shift;
    let i = stat - at.stat_row;
    let found = select(vec2(0.0), measures(i, row_mean[row], row_max[row]), i < at.len_q);
    side[params.measures_at + 2u * stat] = bitcast<u32>(found.x);
    side[params.measures_at + 2u * stat + 1u] = bitcast<u32>(found.y);
}
