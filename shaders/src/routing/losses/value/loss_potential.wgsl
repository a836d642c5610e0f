// Slot value: the loss and Rosenthal's potential, which depends on choices only.
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> potential: array<f32>;

fn store(total: f32, arrived: f32, broken: bool) {
    loss[0] = select(total, bitcast<f32>(params.nan), broken);
    potential[0] = arrived;
}
