// Slot place: the row of the cache where a token's row goes; every sequence has rows of its own.
fn place_of(batch: u32, head: u32, position: u32) -> u32 {
    return (batch * params.heads + head) * params.max_len + position;
}
