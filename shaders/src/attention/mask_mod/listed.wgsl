// Slot mask_mod: what built-in masks hide inside the range of keys that a query sees, and what the user's own does beside them. Which of them
// there are is in params, so that all are one kernel. Queries i.x .. i.y, keys j.x .. j.y, query heads heads.x .. heads.y of the batch entry at hand.

// Whether the key lies between the sink tokens and the window.
fn in_gap(i: u32, j: u32) -> bool {
    return (j >= params.sink_tokens) & (i32(j) - i32(i) - at.off < params.gap_shift);
}

fn document_of_query(i: u32) -> u32 {
    let there = params.document_q_at != ABSENT;
    let row = select(at.batch * params.seq_q + min(i, params.seq_q - 1u),
                     min(at.stat_row - at.q_head * params.total_q + i, params.total_q - 1u), params.packed_rows == 1u);
    return select(0u, side[select(nowhere(), params.document_q_at + row, there)], there);
}
fn document_of_key(j: u32) -> u32 {
    let there = params.document_kv_at != ABSENT;
    let row = select(at.key_stat + min(j, params.seq_kv - 1u), min(at.key_stat + j, params.total_kv - 1u), params.packed_rows == 1u);
    return select(0u, side[select(nowhere(), params.document_kv_at + row, there)], there);
}

// Blocks of queries and of keys of a batch entry, whose ranges of documents document_ranges.wgsl has found.
const DOCUMENT_BLOCK: u32 = 16u;
fn document_blocks() -> vec2<u32> { return (vec2(params.seq_q, params.seq_kv) + DOCUMENT_BLOCK - 1u) / DOCUMENT_BLOCK; }

// The least and the largest document of the blocks that hold p.x .. p.y; block `first` is the batch entry's first of `count`.
fn documents_of(p: vec2<u32>, first: u32, count: u32) -> vec2<u32> {
    let last = min((max(p.y, 1u) - 1u) / DOCUMENT_BLOCK, count - 1u);
    var range = vec2(0xffffffffu, 0u);
    for (var b = p.x / DOCUMENT_BLOCK; b <= last; b++) {
        let word = params.document_ranges_at + 2u * (first + b);
        range = vec2(min(range.x, side[word]), max(range.y, side[word + 1u]));
    }
    return range;
}

// Both for queries i.x .. i.y in .xy, for keys j.x .. j.y in .zw; without documents the same for all.
fn documents_of_tile(i: vec2<u32>, j: vec2<u32>) -> vec4<u32> {
    if params.document_ranges_at == ABSENT { return vec4(0u); }
    let counts = document_blocks();
    return vec4(documents_of(i, at.batch * counts.x, counts.x),
                documents_of(j, params.batch * counts.x + at.batch * counts.y, counts.y));
}

fn is_empty(head: u32, block_q: u32, block_kv: u32) -> bool {
    let there = params.block_map_at != ABSENT;
    let place = at.batch * params.map_batch + head * params.map_head + block_q * params.map_columns + block_kv;
    return select(1u, side[select(nowhere(), params.block_map_at + place, there)], there) == 0u;
}

// Whether some block that holds pairs of these is empty (or is not, if that is what is sought).
fn some_block(i: vec2<u32>, j: vec2<u32>, heads: vec2<u32>, empty: bool) -> bool {
    let last_i = min(max(i.y, 1u), params.seq_q) - 1u;
    let last_j = min(max(j.y, 1u), params.seq_kv) - 1u;
    let end_head = select(heads.y, heads.x + 1u, params.map_head == 0u);
    var found = false;
    for (var h = heads.x; h < end_head; h++) {
        for (var y = i.x / params.block_q; y <= last_i / params.block_q; y++) {
            for (var x = j.x / params.block_kv; x <= last_j / params.block_kv; x++) {
                found = found | (is_empty(h, y, x) == empty);
            }
        }
    }
    return found;
}

// Whether no pair of these is seen.
fn hides_all(i: vec2<u32>, j: vec2<u32>, heads: vec2<u32>) -> bool {
    let gap = (j.x >= params.sink_tokens) & in_gap(i.x, max(j.y, 1u) - 1u);
    let documents = documents_of_tile(i, j);
    let apart = (documents.y < documents.z) | (documents.w < documents.x);
    return gap | apart | !some_block(i, j, heads, false);
}

// Whether some pair of these may be hidden.
fn hides_pairs(i: vec2<u32>, j: vec2<u32>, heads: vec2<u32>) -> bool {
    let first = max(j.x, params.sink_tokens);
    let gap = (first < j.y) & in_gap(i.y - 1u, first);
    let documents = documents_of_tile(i, j);
    let several = any(documents != documents.yzwx);
    return gap | several | some_block(i, j, heads, true) | own_hides_pairs();
}

fn hides_pair(i: u32, j: u32) -> bool {
    let q = min(i, params.seq_q - 1u) / params.block_q;
    let kv = min(j, params.seq_kv - 1u) / params.block_kv;
    return in_gap(i, j) | (document_of_query(i) != document_of_key(j)) | is_empty(at.q_head, q, kv) | own_hides_pair(i, j);
}
