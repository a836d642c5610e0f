// Slot carry of matrix tiles: the stream is cut into several dispatches; accumulators wait in side meanwhile, each invocation's part of a row at `words`.
fn resume(words: u32, acc: ptr<function, Accumulator>) {
    for (var w = 0u; w < VALUE_PARTS; w++) { // unroll
        workgroupBarrier();
        for (var c = 0u; c < PART4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                score_tile[part_place() + c][e] = side_f32(words + (w * PART4 + c) * 4u + e);
            }
        }
        workgroupBarrier();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            (*acc)[o * VALUE_PARTS + w] = coopLoadT<Sum>(&score_tile[o * EDGE * SCORE_STRIDE4], SCORE_STRIDE4);
        }
    }
}
fn suspend(words: u32, acc: ptr<function, Accumulator>) {
    for (var w = 0u; w < VALUE_PARTS; w++) { // unroll
        workgroupBarrier();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            coopStoreT((*acc)[o * VALUE_PARTS + w], &score_tile[o * EDGE * SCORE_STRIDE4], SCORE_STRIDE4);
        }
        workgroupBarrier();
        for (var c = 0u; c < PART4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                side[words + (w * PART4 + c) * 4u + e] = bitcast<u32>(score_tile[part_place() + c][e]);
            }
        }
    }
}
