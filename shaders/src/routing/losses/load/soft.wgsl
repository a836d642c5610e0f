// Slot load: that of the probabilities.
const IS_SOFT: bool = true;
fn load_of(hard: f32, soft: f32) -> f32 { return soft; }
