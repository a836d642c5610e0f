// Slot share: a workgroup sees all keys of its tile, in one dispatch after another if the stream is cut.
const TAKES_SINK: bool = true;
fn tile_of(group: u32) -> u32 { return group; }
fn share_of(group: u32) -> vec2<u32> { return vec2(params.stream_from, params.stream_to); }
fn resumes() -> bool { return params.stream_from > 0u; }
fn suspends() -> bool { return params.stream_to < params.seq_kv; }
