// Slot row of matrix tiles: sigmoid. No maximum, no sum, no rescale, no lse: the accumulator stays in matrix registers. Weights are formed times
// 2^15, so that in f16 they are normal numbers down to 2^-29.
// exp(-z) does not overflow from LOWEST on, and from there down weights are 0 in f16, whether z is formed as it is or times log2 e.
const LOWEST: f32 = -88.7;
const ONE: f32 = 0.000030517578125; // 2^-15, of which a reciprocal is 2^15

fn weight4(z: vec4<f32>) -> vec4<f32> { return 1.0 / fma(exp2(-binary(z)), vec4(ONE), vec4(ONE)); }

fn row_begin() {}

// scores → 2^15·σ, in place; seen: no score of the tile is hidden.
fn row_update(scores: ptr<function, Scores>, seen: bool) {
    if seen {
        for (var c = 0u; c < STREAM4; c++) { // unroll
            (*scores)[c] = weight4((*scores)[c]);
        }
    } else {
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[c];
            (*scores)[c] = select(weight4(max(z, vec4(LOWEST))), vec4(0.0), z < vec4(HIDDEN_BELOW));
        }
    }
}

fn row_rescale(acc: ptr<function, Accumulator>) {}
fn row_end() {}
fn row_share() -> f32 { return ONE; }
fn row_store(i: u32, in_sequence: bool) {}
fn row_suspend(word: u32) {}
fn row_resume(word: u32) {}
