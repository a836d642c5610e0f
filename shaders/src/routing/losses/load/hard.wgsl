// Slot load: that of the tokens that chose the expert.
const IS_SOFT: bool = false;
fn load_of(hard: f32, soft: f32) -> f32 { return hard; }
