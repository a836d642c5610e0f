// Slot row: sigmoid. Each key on its own: no maximum, no sum, no rescale, no lse. A tile of keys is a plain addition.
// exp(-z) does not overflow from LOWEST on, where the weight has underflowed; small weights keep their relative accuracy (a tanh form
// would not).
const LOWEST: f32 = -88.7;

fn sigmoid4(z: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-z)); }

fn row_begin(with_sink: bool) {}

// scores → weights, in place; seen: no score of the tile is hidden.
fn row_update(scores: ptr<function, Scores>, acc: ptr<function, Accumulator>, seen: bool) {
    if seen {
        for (var i = 0u; i < SCORES; i++) { // unroll
            (*scores)[i] = sigmoid4((*scores)[i]);
        }
    } else {
        for (var i = 0u; i < SCORES; i++) { // unroll
            let z = (*scores)[i];
            (*scores)[i] = select(sigmoid4(max(z, vec4(LOWEST))), vec4(0.0), z < vec4(HIDDEN_BELOW));
        }
    }
}

fn row_end(acc: ptr<function, Accumulator>) {}
fn row_store(r: u32, i: u32, in_sequence: bool) {}

const ROW_STATE: u32 = 0u;
fn row_suspend(word: u32) {}
fn row_resume(word: u32) {}
// acc += part: sums over shares of the keys need nothing else.
fn row_merge(word: u32, part: ptr<function, Accumulator>, acc: ptr<function, Accumulator>) {
    for (var w = 0u; w < ACCUMULATORS; w++) { // unroll
        (*acc)[w] += (*part)[w];
    }
}
