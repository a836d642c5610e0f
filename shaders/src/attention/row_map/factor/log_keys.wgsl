// Slot factor: the logarithm of the width, times that of how many keys the query sees. Slots: mask.
var<private> own: f32;

fn enter_factor(row: Row) {
    let keys = keys_of(row.i);
    own = params.log_width * ln_count(max(keys.y, keys.x + 1u) - keys.x);
}
fn enter_slope() -> f32 { return 0.0; }
fn factor(row: Row, d: u32) -> vec2<f32> { return vec2(own, 0.0); }
