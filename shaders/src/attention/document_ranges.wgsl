// attention, documents: the least and the largest document number of every DOCUMENT_BLOCK queries, then of keys, of every batch entry. Two tiles
// whose ranges do not meet share no document.
//
// Owns: two words of side a block. One block an invocation. Slots: mask_mod.
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let number = (params.first_group + place) * INVOCATIONS + invocation;
    let counts = document_blocks();
    if number >= params.batch * (counts.x + counts.y) { return; }
    let of_queries = number < params.batch * counts.x;
    let n = select(number - params.batch * counts.x, number, of_queries);
    let count = select(counts.y, counts.x, of_queries);
    enter(n / count, 0u);
    let first = n % count * DOCUMENT_BLOCK;
    let last = max(select(at.len_kv, at.len_q, of_queries), 1u) - 1u;
    var least = 0xffffffffu;
    var largest = 0u;
    for (var p = first; p < first + DOCUMENT_BLOCK; p++) {
        let document = select(document_of_key(min(p, last)), document_of_query(min(p, last)), of_queries);
        least = min(least, document);
        largest = max(largest, document);
    }
    side[params.document_ranges_at + 2u * number] = least;
    side[params.document_ranges_at + 2u * number + 1u] = largest;
}
