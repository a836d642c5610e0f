// Slot value: nobody asks.
fn store(total: f32, arrived: f32, broken: bool) {}
