// Slot heat: no temperature.
fn store_heat(own: f32, exists: bool, broken: bool) {}
