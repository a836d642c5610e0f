// Slot keys: keys lie in pages that a table lists: k and v are [pages, page, kv_heads, width]. An entry beyond the last page stands for it.
fn key_row(j: u32) -> u32 {
    let number = side[params.table_at + at.batch * params.table_pages + j / params.page];
    return (min(number, params.pages - 1u) * params.page + j % params.page) * params.kv_heads + at.kv_head;
}
// No row follows another at a fixed distance: each is looked up, as at the end of a sequence.
fn keys_in_order() -> u32 { return 0u; }
