// mutant: hidden keys have the weight of a very low score, not 0
// of: attention/row/sigmoid.wgsl
// Slot row: sigmoid. Each key on its own: no maximum, no sum, no rescale, no lse. A tile of keys is a plain addition.
// σ(z) by e = exp(-|z|) ≤ 1, so nothing overflows and small weights keep their relative accuracy (a tanh form would not).
fn sigmoid4(z: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(z));
    let r = 1.0 / (1.0 + e);
    return select(e * r, r, z >= vec4(0.0));
}

fn row_begin() {}

fn row_update(scores: ptr<function, Scores>, acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            (*scores)[r * STREAM4 + c] = sigmoid4(select(z, vec4(-20.0), z < vec4(HIDDEN_BELOW)));
        }
    }
}

fn row_end(acc: ptr<function, Accumulator>) {}
fn row_store(r: u32, i: u32, in_sequence: bool) {}

const ROW_STATE: u32 = 0u;
fn row_suspend(word: u32) {}
fn row_resume(word: u32) {}
