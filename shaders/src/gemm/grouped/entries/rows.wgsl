// Slot entries: tiles of at most tile_rows rows, in the order of rows; entry: expert, first row, end row. Beyond the last tile: no rows.
fn fill(entry: u32) {
    if entry >= before[SEGMENTS - 1u] {
        table[entry] = vec4(NONE, 0u, 0u, 0u);
        return;
    }
    var low = 0u;                       // before[low] <= entry < before[high]
    var high = SEGMENTS - 1u;
    for (var n = 0u; n < HALVINGS; n++) {
        let middle = (low + high) / 2u;
        if before[middle] <= entry { low = middle; } else { high = middle; }
    }
    let expert = select(NONE, low - 1u, (low >= 1u) & (low <= params.experts));
    let row = bound[low] + (entry - before[low]) * params.tile_rows;
    table[entry] = vec4(expert, row, min(row + params.tile_rows, bound[low + 1u]), 0u);
}
