//! Faults of appending to a cache.

use super::super::Row;

const KERNEL: &str = "attention/cache.wgsl";
const PAGED: &str = "attention/cache/paged.wgsl";
const OP: &str = "cache_append";

pub(super) const ALL: &[Row] = &[
    (
        "cache_written_at_the_start",
        KERNEL,
        "new rows overwrite the first",
        "let position = min(lens[batch], params.max_len) + token;",
        "let position = token;",
        OP,
        &[],
    ),
    (
        "cache_written_one_late",
        KERNEL,
        "a gap is left before the new rows",
        "min(lens[batch], params.max_len) + token;",
        "min(lens[batch], params.max_len) + token + 1u;",
        OP,
        &[],
    ),
    (
        "cache_rows_of_another_head",
        KERNEL,
        "rows of tokens are taken for rows of heads",
        "params.tokens_first == 1u;",
        "params.tokens_first == 2u;",
        OP,
        &["tokens_first"],
    ),
    (
        "cache_rows_beyond_the_count",
        KERNEL,
        "rows that do not count are written",
        "(token >= rows_of(batch)) |",
        "(token > rows_of(batch)) |",
        OP,
        &["ragged"],
    ),
    (
        "cache_page_of_the_first_entry",
        PAGED,
        "every batch entry has the pages of the first",
        "block_table[batch * params.table_pages",
        "block_table[0u * params.table_pages",
        OP,
        &["paged"],
    ),
    (
        "cache_page_not_looked_up",
        PAGED,
        "pages are taken in order",
        "let number = block_table[batch * params.table_pages + position / params.page];",
        "let number = min(block_table[0], 0u) + batch * params.table_pages + position / params.page;",
        OP,
        &["paged"],
    ),
    (
        "cache_place_in_page",
        PAGED,
        "rows of a page lie a place too far",
        "position % params.page)",
        "(position + 1u) % params.page)",
        OP,
        &["paged"],
    ),
];
