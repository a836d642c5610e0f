//! Softmax attention and its gradient, checked against a finite difference.
use gatefold_wgpu::attention::{BackwardInputs, Causal, Dims, Inputs};
use gatefold_wgpu::{Attention, AttentionBackward, Gpu, RunError, Tensor};

const DIMS: [usize; 4] = [1, 2, 32, 16];

fn wave(salt: usize) -> Vec<f32> {
    (0..DIMS.iter().product()).map(|n: usize| ((n * 31 + salt * 7) % 29) as f32 / 14.0 - 1.0).collect()
}

fn main() -> Result<(), RunError> {
    let gpu = Gpu::new()?;
    let dims = Dims::new(DIMS[0], DIMS[1], DIMS[2], DIMS[3]);
    let attention = Attention { lse: true, causal: Causal::BottomRight, ..Attention::softmax(dims) };
    let (q, d_o) = (wave(1), wave(4));
    let inputs = |q: Vec<f32>| -> Result<Inputs, RunError> {
        let (k, v) = (Tensor::f32(DIMS, wave(2))?, Tensor::f32(DIMS, wave(3))?);
        Ok(Inputs { q: Tensor::f32(DIMS, q)?, k, v, ..Inputs::default() })
    };
    let forward = gpu.run(&attention, inputs(q.clone())?)?;
    let gradient = AttentionBackward::new(attention.clone());
    let saved = BackwardInputs {
        forward: inputs(q.clone())?,
        o: Some(forward.o),
        lse: forward.lse,
        d_o: Tensor::f32(DIMS, d_o.clone())?,
        ..BackwardInputs::default()
    };
    let d_q = gpu.run(&gradient, saved)?.d_q.to_f32();

    // The gradient of Σ d_o·o by one element of q, once more by a difference quotient.
    let (at, step) = (5 * DIMS[3] + 3, 1e-2);
    let loss = |delta: f32| -> Result<f32, RunError> {
        let mut moved = q.clone();
        moved[at] += delta;
        let o = gpu.run(&attention, inputs(moved)?)?.o.to_f32();
        Ok(o.iter().zip(&d_o).map(|(o, d)| o * d).sum())
    };
    let quotient = (loss(step)? - loss(-step)?) / (2.0 * step);
    println!("d_q[{at}] = {:.5}, by differences {quotient:.5}", d_q[at]);
    assert!((d_q[at] - quotient).abs() < 1e-2);
    Ok(())
}
