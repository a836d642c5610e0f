//! One attention over two adapters: each sees half of the keys, and the parts are merged. With one adapter, both halves run on it.
use gatefold_wgpu::attention::{Dims, Inputs, MergeInputs};
use gatefold_wgpu::{Attention, AttentionMerge, Gpu, Options, RunError, Tensor, adapters};

const HEADS: usize = 8;
const QUERIES: usize = 4;
const KEYS: usize = 1024;
const WIDTH: usize = 64;

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|n| ((n * 7 + salt * 3 + n / 11) % 29) as f32 / 14.0 - 1.0).collect()
}

/// Keys or values `from .. to` of every head.
fn cut(all: &[f32], from: usize, to: usize) -> Result<Tensor, RunError> {
    let rows: Vec<f32> = all.chunks(KEYS * WIDTH).flat_map(|head| head[from * WIDTH..to * WIDTH].to_vec()).collect();
    Ok(Tensor::f32([1, HEADS, to - from, WIDTH], rows)?)
}

fn main() -> Result<(), RunError> {
    let found = adapters();
    let open = |index: usize| Gpu::open(&Options { adapter: Some(index.to_string()), ..Options::default() });
    let gpus = [open(0)?, open(found.len().saturating_sub(1))?];
    let q = Tensor::f32([1, HEADS, QUERIES, WIDTH], numbers(HEADS * QUERIES * WIDTH, 1))?;
    let (k, v) = (numbers(HEADS * KEYS * WIDTH, 2), numbers(HEADS * KEYS * WIDTH, 3));
    let spec = |keys| {
        let dims = Dims { seq_q: QUERIES, ..Dims::new(1, HEADS, keys, WIDTH) };
        Attention { lse: true, ..Attention::softmax(dims) }
    };
    let run = |gpu: &Gpu, from, to| {
        let (k, v) = (cut(&k, from, to)?, cut(&v, from, to)?);
        gpu.run(&spec(to - from), Inputs { q: q.clone(), k, v, ..Inputs::default() })
    };
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| run(&gpus[1], KEYS / 2, KEYS));
        (run(&gpus[0], 0, KEYS / 2), second.join().expect("the other half does not panic"))
    });
    let parts = [first?, second?];

    let rows = HEADS * QUERIES;
    let o_parts = Tensor::f32([2, rows, WIDTH], parts.iter().flat_map(|p| p.o.to_f32()).collect::<Vec<_>>())?;
    let lse = parts.iter().filter_map(|p| p.lse.as_ref()).flat_map(Tensor::to_f32).collect::<Vec<_>>();
    let lse_parts = Some(Tensor::f32([2, rows], lse)?);
    let merged = gpus[0].run(&AttentionMerge::softmax(2, rows, WIDTH), MergeInputs { o_parts, lse_parts })?;

    let whole = run(&gpus[0], 0, KEYS)?;
    let apart = merged.o.to_f32().iter().zip(whole.o.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{} and {}: halves merged, at most {apart:.1e} from the whole", gpus[0].info().name, gpus[1].info().name);
    assert!(apart < 1e-5);
    Ok(())
}
