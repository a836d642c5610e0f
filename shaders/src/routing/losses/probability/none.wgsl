// Slot probability: nobody asks.
fn probability_of(e: u32) -> f32 { return 0.0; }
