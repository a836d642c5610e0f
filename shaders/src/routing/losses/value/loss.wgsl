// Slot value: the loss.
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;

fn store(total: f32, arrived: f32, broken: bool) { loss[0] = select(total, bitcast<f32>(params.nan), broken); }
