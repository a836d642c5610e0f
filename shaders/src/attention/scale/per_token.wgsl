// Slot scale: each row of keys and of values has its own.
@group(0) @binding(15) var<storage, read> k_scale: array<u32>;
@group(0) @binding(16) var<storage, read> v_scale: array<u32>;

fn k_scale_bits(row: u32) -> u32 { return k_scale[row + params.scale_shift]; }
fn v_scale_bits(row: u32) -> u32 { return v_scale[row + params.scale_shift]; }
