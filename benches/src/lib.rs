//! Criterion benches: `cargo bench -p gatefold-benches`. For a report against this machine's ceilings use `cargo xtask bench`.

#![forbid(unsafe_code)]

use gatefold_wgpu::attention::{BackwardInputs, Dims, Inputs};
use gatefold_wgpu::{Attention, AttentionBackward, Dtype, Gpu, Op, RowFunction, Rowwise, Tensor, Tensors};

/// The adapter to bench on: the best there is.
///
/// # Panics
/// If there is none.
pub fn gpu() -> Gpu {
    Gpu::new().unwrap_or_else(|e| panic!("benches need an adapter: {e}"))
}

/// Both attentions at one shape, with their names.
pub fn attentions(heads: usize, seq: usize, head_dim: usize) -> [(&'static str, Attention); 2] {
    let dims = Dims::new(1, heads, seq, head_dim);
    [("softmax", Attention::softmax(dims)), ("sigmoid", Attention::sigmoid(dims))]
}

/// Row-wise softmax.
pub fn softmax(rows: usize, cols: usize) -> Rowwise {
    Rowwise::new(RowFunction::Softmax, rows, cols)
}

/// Float inputs of a spec, between −1 and 1 and the same in every run.
///
/// # Panics
/// Never for a valid spec with float inputs.
pub fn inputs<O: Op>(op: &O) -> Tensors {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let high = u16::try_from(state >> 16).unwrap_or_default();
        f32::from(high) / 32_768.0 - 1.0
    };
    let mut all = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role.is_given()) {
        let values = (0..o.len()).map(|_| next()).collect();
        let tensor = Tensor::float(o.dtype, o.dims, values);
        all.insert(o.name, tensor.unwrap_or_else(|e| panic!("{}: {e}", o.name)));
    }
    all
}

/// Inputs of the gradient of `forward`, with the outputs of the forward pass on `gpu`.
///
/// # Panics
/// If the forward pass fails.
pub fn backward_inputs(gpu: &Gpu, forward: &Attention) -> (AttentionBackward, Tensors) {
    let saving = forward.clone().saving(true);
    let given = inputs(&saving);
    let take = |name: &str| given[name].clone();
    let forward_inputs = Inputs { q: take("q"), k: take("k"), v: take("v"), ..Inputs::default() };
    let made = gpu.run(&saving, forward_inputs.clone()).unwrap_or_else(|e| panic!("forward: {e}"));
    let d_o = Tensor::float(Dtype::F32, made.o.dims(), vec![0.5; made.o.len()]).unwrap_or_else(|e| panic!("d_o: {e}"));
    let o = forward.kept().contains(&"o").then_some(made.o);
    let (o_core, lse, row_sum) = (made.o_core, made.lse, made.row_sum);
    let (row_mean, row_max) = (made.row_mean, made.row_max);
    let forward_inputs = BackwardInputs { forward: forward_inputs, row_mean, row_max, ..BackwardInputs::default() };
    let all = BackwardInputs { o, o_core, lse, row_sum, d_o, ..forward_inputs };
    (AttentionBackward::new(forward.clone()), all.into())
}
