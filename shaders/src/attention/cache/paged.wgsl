// Slot place: the row of the cache where a token's row goes, by a table of pages; nowhere if the page does not exist.
@group(0) @binding(4) var<storage, read> block_table: array<u32>;

fn place_of(batch: u32, head: u32, position: u32) -> u32 {
    let number = block_table[batch * params.table_pages + position / params.page];
    let row = (min(number, params.pages - 1u) * params.page + position % params.page) * params.heads + head;
    return select(NOWHERE, row, number < params.pages);
}
