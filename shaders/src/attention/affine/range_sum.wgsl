// The sum over a range of rows, by whole blocks of blocks, whole blocks and the single rows at either end: nothing is taken off again.
// A row is so many parts: params.row_width.
@group(0) @binding(2) var<storage, read> terms: array<TermPart>;
@group(0) @binding(3) var<storage, read> block_sums: array<Part>;
@group(0) @binding(4) var<storage, read> block_sums_2: array<Part>;

// Rows that block sums know as one run: those of a head of a batch entry, or of a head of all packed sequences.
struct Segment {
    number: u32,
    length: u32,
    row: u32,       // its row 0 in memory
    step: u32,
    first: u32,     // where the sequence at hand begins in it
}
var<private> sum_is_broken: Flags;

fn key_segment() -> Segment {
    if params.packed_rows == 1u {
        return Segment(at.kv_head, params.total_kv, at.kv_head, params.kv_heads, at.key_stat);
    }
    return Segment(at.batch * params.kv_heads + at.kv_head, params.seq_kv, at.k_row, 1u, 0u);
}
fn query_segment(q_head: u32) -> Segment {
    if params.packed_rows == 1u {
        return Segment(q_head, params.total_q, q_head, params.q_heads, at.stat_row - at.q_head * params.total_q);
    }
    let number = at.batch * params.q_heads + q_head;
    return Segment(number, params.seq_q, number * params.seq_q, 1u, 0u);
}

fn kept_term(term: Part) -> Part {
    let broken = part_is_lost(term);
    sum_is_broken = sum_is_broken | broken;
    return select(term, Part(0.0), broken);
}
fn sum_rows(s: Segment, begin: u32, end: u32, d: u32) -> Part {
    var sum = Part(0.0);
    for (var r = begin; r < end; r++) { sum += kept_term(Part(terms[(s.row + r * s.step) * params.row_width + d])); }
    return sum;
}
fn sum_blocks(base: u32, begin: u32, end: u32, d: u32) -> Part {
    var sum = Part(0.0);
    for (var b = begin; b < end; b++) { sum += kept_term(block_sums[(base + b) * params.row_width + d]); }
    return sum;
}
fn sum_blocks_2(base: u32, begin: u32, end: u32, d: u32) -> Part {
    var sum = Part(0.0);
    for (var b = begin; b < end; b++) { sum += kept_term(block_sums_2[(base + b) * params.row_width + d]); }
    return sum;
}
fn blocks_in(count: u32) -> u32 { return (count + ROWS - 1u) / ROWS; }

// Part d over rows .x ≤ r < .y of the sequence. Sets sum_is_broken if one of them is not finite.
fn range_sum(s: Segment, range: vec2<u32>, d: u32) -> Part {
    let rows = range + s.first;
    let blocks = vec2(blocks_in(rows.x), rows.y / ROWS);               // whole ones; none if .x ≥ .y
    let twice = vec2(blocks_in(blocks.x), blocks.y / ROWS);
    let count = blocks_in(s.length);
    let head = min(blocks.x * ROWS, rows.y);
    let block_head = min(twice.x * ROWS, blocks.y);
    var sum = sum_rows(s, rows.x, head, d);
    sum += sum_blocks(s.number * count, blocks.x, block_head, d);
    sum += sum_blocks_2(s.number * blocks_in(count), twice.x, twice.y, d);
    sum += sum_blocks(s.number * count, max(twice.y * ROWS, block_head), blocks.y, d);
    sum += sum_rows(s, max(blocks.y * ROWS, head), rows.y, d);
    return sum;
}
