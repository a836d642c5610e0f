// Slot key: as the scores' kernel left it, an expert's tokens side by side.
@group(0) @binding(4) var<storage, read> choice_keys: array<u32>;

fn key_at(row: u32, col: u32) -> u32 { return choice_keys[row * params.cols + col]; }
