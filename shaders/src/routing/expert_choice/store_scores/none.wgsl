// Slot scores: nobody asks for them.
fn store_score(at: u32, bits: u32) { }
