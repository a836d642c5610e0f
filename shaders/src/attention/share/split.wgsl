// Slot share: the keys of a tile are shared out to `splits` workgroups, at most split_keys each; forward_combine.wgsl joins what they leave in
// side. The sink enters there, once.
const TAKES_SINK: bool = false;
fn tile_of(group: u32) -> u32 { return group / params.splits; }
fn share_of(group: u32) -> vec2<u32> {
    let first = group % params.splits * params.split_keys;
    return vec2(first, first + params.split_keys);
}
fn resumes() -> bool { return false; }
fn suspends() -> bool { return true; }
