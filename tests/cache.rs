//! A cache that grows in place: what is appended on the device is what attention reads. Bad input of what goes with it.

use gatefold_core::attention::{CacheLayout, Dims, RotaryPositions, RowLayout, SCALE_LIMIT, Sequences, Storage};
use gatefold_core::{Attention, CacheAppend, Dtype, Op, Operand, RotaryEmbedding, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::outputs;
use gatefold_tests::bad_calls::{Trial, legal, zeros};
use gatefold_tests::buffers::{self, buffer};
use gatefold_tests::exact::run_exactly;
use gatefold_tests::gpu;
use gatefold_wgpu::{Bindings, Gpu, Kernels, Prepared, wgpu};

/// No element of a cache changes that no row is written to, and each new row arrives bit by bit.
#[test]
fn every_bit_is_as_the_definition_says() {
    let ran = run_exactly::<CacheAppend>(gpu());
    assert!(ran > 40, "{ran}");
}

const HEADS: usize = 2;
const WIDTH: usize = 24;
const BATCH: usize = 3;
const MAX_LEN: usize = 20;
const PAGE: usize = 4;
const PAGES: usize = 17;
/// Tokens of each step of a decoding loop: a prompt, then one by one.
const STEPS: [usize; 4] = [7, 1, 1, 3];

/// A buffer for every operand that has none yet.
fn bindings(
    gpu: &Gpu,
    operands: &[Operand],
    given: &[(&str, &wgpu::Buffer)],
) -> (Bindings, Vec<(String, wgpu::Buffer)>) {
    let mut bindings = given.iter().fold(Bindings::new(), |b, (name, buffer)| b.bind(*name, buffer, 0));
    let mut made = Vec::new();
    for o in operands.iter().filter(|o| given.iter().all(|(name, _)| *name != o.name)) {
        let own = buffer(gpu, o.bytes().next_multiple_of(4).max(16));
        bindings = bindings.bind(o.name, &own, 0);
        made.push((o.name.to_string(), own));
    }
    (bindings, made)
}

fn read(gpu: &Gpu, source: &wgpu::Buffer) -> Vec<f32> {
    let bytes = buffers::read(gpu, source);
    bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// An op over buffers, by name.
struct Ready {
    prepared: Prepared,
    buffers: Vec<(String, wgpu::Buffer)>,
}

impl Ready {
    /// Those of `given` that the op has.
    fn new<O: Kernels>(gpu: &Gpu, op: &O, given: &[(&str, &wgpu::Buffer)]) -> Self {
        let operands = op.operands();
        let has = |name: &str| operands.iter().any(|o| o.name == name);
        let given: Vec<_> = given.iter().copied().filter(|(name, _)| has(name)).collect();
        let (bindings, buffers) = bindings(gpu, &operands, &given);
        let prepared = gpu.prepare(&gpu.plan(op).unwrap(), &op.operands(), &bindings).unwrap();
        Self { prepared, buffers }
    }

    fn write(&self, gpu: &Gpu, tensors: &Tensors) {
        for (name, buffer) in &self.buffers {
            if let Some(t) = tensors.get(name) {
                gpu.queue().write_buffer(buffer, 0, t.bytes());
            }
        }
    }

    fn buffer(&self, name: &str) -> &wgpu::Buffer {
        &self.buffers.iter().find(|(n, _)| n == name).unwrap().1
    }
}

fn draw(rng: &mut Rng, dims: [usize; 4]) -> Tensor {
    Tensor::f32(dims, Family::Normal(1.0).fill(rng, dims.iter().product(), 1)).unwrap()
}

/// What a step of the loop appends to keys or values.
fn append(cache: CacheLayout, storage: Storage, seq: usize) -> CacheAppend {
    let layout = RowLayout::TokensFirst;
    CacheAppend { cache, storage, layout, ..CacheAppend::new(BATCH, HEADS, seq, WIDTH, MAX_LEN) }
}

/// A decoding loop on the device: two appends and an attention in one encoder, nothing but new rows and lengths uploaded. Its outputs are
/// those of attention over all keys so far, which the host has kept.
fn decode(cache: CacheLayout, storage: Storage) {
    let (gpu, mut rng) = (gpu(), Rng::new(77, 7));
    let sequences = match cache {
        CacheLayout::Dense => Sequences::Padded { q: false, kv: true },
        CacheLayout::Paged { page, pages } => Sequences::Paged { page, pages },
    };
    let table: Vec<u32> = (0..15).map(|n| (n * 7 + 3) % 17).collect();
    let table = Tensor::u32([BATCH, MAX_LEN / PAGE], table).unwrap();
    let rows = match cache {
        CacheLayout::Dense => BATCH * MAX_LEN,
        CacheLayout::Paged { page, pages } => page * pages,
    };
    let width = append(cache, storage, 1).row_elements();
    let caches = [0, 1].map(|_| buffer(gpu, (rows * HEADS * width * 4) as u64));
    let scales = [0, 1].map(|_| buffer(gpu, (rows * HEADS * 4) as u64));
    // what a program left there before is never looked at
    let fill = |c: &wgpu::Buffer| gpu.queue().write_buffer(c, 0, &vec![0xff; usize::try_from(c.size()).unwrap()]);
    caches.iter().chain(&scales).for_each(fill);
    let mut kept: [Vec<Tensor>; 2] = [Vec::new(), Vec::new()];
    let mut len = 0;
    for seq in STEPS {
        let append = append(cache, storage, seq);
        let dims = Dims { seq_q: seq, seq_kv: MAX_LEN, ..Dims::new(BATCH, HEADS, 1, WIDTH) };
        let attention = Attention { sequences, storage, ..Attention::softmax(dims) };
        let lens = |n: usize| Tensor::u32([BATCH], vec![u32::try_from(n).unwrap(); BATCH]).unwrap();
        let q = draw(&mut rng, [BATCH, HEADS, seq, WIDTH]);
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for ((cache, scale), kept) in caches.iter().zip(&scales).zip(&mut kept) {
            let x = draw(&mut rng, [BATCH, seq, HEADS, WIDTH]);
            let ready = Ready::new(gpu, &append, &[("cache", cache), ("cache_scale", scale)]);
            let inputs = Tensors::new().with("x", x.clone()).with("lens", lens(len));
            ready.write(gpu, &inputs.with("block_table", table.clone()));
            ready.prepared.encode(&mut encoder).unwrap();
            kept.push(x);
        }
        len += seq;
        let given = [("k", &caches[0]), ("v", &caches[1]), ("k_scale", &scales[0]), ("v_scale", &scales[1])];
        let ready = Ready::new(gpu, &attention, &given);
        let inputs = Tensors::new().with("q", q.clone()).with("lens_kv", lens(len));
        ready.write(gpu, &inputs.with("block_table", table.clone()));
        ready.prepared.encode(&mut encoder).unwrap();
        gpu.queue().submit([encoder.finish()]);
        let got = read(gpu, ready.buffer("o"));
        let plain = Attention { storage, ..Attention::softmax(Dims { seq_kv: len, ..dims }) };
        let mut inputs = Tensors::new().with("q", q);
        for (parts, names) in kept.iter().zip([["k", "k_scale"], ["v", "v_scale"]]) {
            stored(&whole(parts, len), storage).into_iter().zip(names).for_each(|(t, name)| inputs.insert(name, t));
        }
        let want = outputs(&plain, &inputs)["o"].to_f32();
        let close = got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close && got.len() == want.len(), "after {len} keys");
    }
}

/// All rows as a dense cache has them by the definition, and their scales.
fn stored(rows: &Tensor, storage: Storage) -> Vec<Tensor> {
    let len = rows.dims()[2];
    let op = CacheAppend { storage, ..CacheAppend::new(BATCH, HEADS, len, WIDTH, len) };
    let lens = Tensor::u32([BATCH], vec![0; BATCH]).unwrap();
    let made = outputs(&op, &legal(&op).with("x", rows.clone()).with("lens", lens));
    ["cache", "cache_scale"].into_iter().filter_map(|name| made.get(name).cloned()).collect()
}

/// `[batch, seq, heads, dim]` parts joined to `[batch, heads, len, dim]`.
fn whole(parts: &[Tensor], len: usize) -> Tensor {
    let mut all = Vec::new();
    for (b, h) in (0..BATCH).flat_map(|b| (0..HEADS).map(move |h| (b, h))) {
        for part in parts {
            let seq = part.dims()[1];
            for t in 0..seq {
                let row = (b * seq + t) * HEADS + h;
                all.extend_from_slice(&part.as_f32().unwrap()[row * WIDTH..][..WIDTH]);
            }
        }
    }
    Tensor::float(Dtype::F32, [BATCH, HEADS, len, WIDTH], all).unwrap()
}

#[test]
fn attention_reads_what_was_appended() {
    decode(CacheLayout::Dense, Storage::Float);
    decode(CacheLayout::Dense, Storage::INT8_PER_TOKEN);
}

#[test]
fn attention_reads_pages_that_were_appended() {
    decode(CacheLayout::Paged { page: PAGE, pages: PAGES }, Storage::Float);
    decode(CacheLayout::Paged { page: PAGE, pages: PAGES }, Storage::INT8_PER_TOKEN);
}

/// Lengths, counts and pages that the host has not seen: what finds no room is dropped, and nothing else is written.
#[test]
fn unsound_lengths_and_pages_write_nothing() {
    let gpu = gpu();
    let cache = CacheLayout::Paged { page: PAGE, pages: 5 };
    let op = CacheAppend { cache, ragged: true, ..CacheAppend::new(2, 1, 4, 8, 8) };
    let ints = |dims: &[usize], n: &[u32]| Tensor::u32(dims, n).unwrap();
    let before = draw(&mut Rng::new(1, 1), [5, PAGE, 1, 8]);
    let inputs = Tensors::new()
        .with("cache", before.clone())
        .with("x", draw(&mut Rng::new(2, 2), [2, 1, 4, 8]))
        .with("lens", ints(&[2], &[u32::MAX, 3]))
        .with("lens_new", ints(&[2], &[4, u32::MAX]))
        .with("block_table", ints(&[2, 2], &[0, 1, 2, 77]));
    assert!(op.check_inputs(&inputs).is_err());
    let options = gatefold_wgpu::RunOptions { guard: true, ..Default::default() };
    let ran = gpu.run_plan(&gpu.plan(&op).unwrap(), &op.operands(), &inputs, &options).unwrap();
    assert_eq!(ran.faults, Vec::<String>::new());
    // the second entry's first new row lies in page 2, its others in a page that does not exist
    let mut want = before.to_f32();
    let at = (2 * PAGE + 3) * 8;
    want[at..at + 8].copy_from_slice(&inputs["x"].to_f32()[4 * 8..5 * 8]);
    assert_eq!(ran.outputs["cache"].to_f32(), want);
}

#[test]
fn rotary_embeddings() {
    let mut t = Trial::default();
    let op = RotaryEmbedding::new(2, 3, 4, 8, 10);
    for name in ["x", "cos_cache", "sin_cache", "positions"] {
        t.refuse_without(&op, name);
    }
    t.refuse_with(&op, "x", zeros(Dtype::F32, &[2, 4, 3, 8]), "Shape", "x");
    t.refuse_with(&op, "cos_cache", zeros(Dtype::F32, &[10, 8]), "Shape", "cos_cache");
    t.refuse_with(&op, "sin_cache", zeros(Dtype::F16, &[10, 4]), "Dtype", "sin_cache");
    let first = RotaryEmbedding { positions: RotaryPositions::First, ..op.clone() };
    t.refuse_with(&first, "positions", zeros(Dtype::U32, &[2, 4]), "Shape", "positions");
    let at = |dims: &[usize], n: Vec<u32>| Tensor::u32(dims, n).unwrap();
    t.refuse_with(&op, "positions", at(&[2, 4], vec![0, 1, 2, 9, 0, 10, 0, 0]), "Value", "positions[5]");
    t.refuse_with(&first, "positions", at(&[2], vec![6, 7]), "Value", "positions[1]");
    for (dim, bad) in [
        ("head_dim", RotaryEmbedding { head_dim: 257, ..op.clone() }),
        ("rotary_dim", RotaryEmbedding { rotary_dim: 3, ..op.clone() }),
        ("rotary_dim", RotaryEmbedding { rotary_dim: 10, ..op.clone() }),
        ("rotary_dim", RotaryEmbedding { rotary_dim: 0, ..op.clone() }),
        ("max_position", RotaryEmbedding { max_position: 0, ..op.clone() }),
        ("heads", RotaryEmbedding { heads: 0, ..op.clone() }),
        ("seq", RotaryEmbedding { seq: 11, ..first.clone() }),
    ] {
        t.refuse_spec(&bad, "Dim", dim);
    }
    t.refuse_spec(&RotaryEmbedding { dtype: Dtype::U32, ..op }, "Option", "dtype");
}

#[test]
fn cache_appends() {
    let mut t = Trial::default();
    let op = CacheAppend { ragged: true, ..CacheAppend::new(2, 3, 4, 8, 10) };
    for name in ["cache", "x", "lens", "lens_new"] {
        t.refuse_without(&op, name);
    }
    let ints = |n: &[u32]| Tensor::u32([n.len()], n).unwrap();
    t.refuse_with(&op, "cache", zeros(Dtype::F32, &[2, 3, 8, 10]), "Shape", "cache");
    t.refuse_with(&op, "cache", zeros(Dtype::F16, &[2, 3, 10, 8]), "Dtype", "cache");
    t.refuse_with(&op, "block_table", zeros(Dtype::U32, &[2, 3]), "Unexpected", "block_table");
    t.refuse_with(&op, "lens_new", ints(&[4, 5]), "Value", "lens_new[1]");
    t.refuse(&op, &legal(&op).with("lens", ints(&[7, 6])).with("lens_new", ints(&[3, 5])), "Value", "lens_new[1]");
    t.refuse(&op, &legal(&op).with("lens", ints(&[7, 7])).with("lens_new", ints(&[3, 4])), "Value", "lens[1]");
    let all = CacheAppend { ragged: false, ..op.clone() };
    t.refuse_with(&all, "lens", ints(&[7, 0]), "Value", "lens[0]");
    let paged = CacheAppend { cache: CacheLayout::Paged { page: 4, pages: 5 }, ..all.clone() };
    let table = |pages: [u32; 6]| Tensor::u32([2, 3], pages).unwrap();
    t.refuse_with(&paged, "block_table", table([0, 9, 9, 5, 9, 9]), "Value", "block_table[3]");
    t.refuse_with(&paged, "block_table", table([0, 9, 9, 0, 9, 9]), "Value", "block_table[3]");
    let good = legal(&paged).with("block_table", table([0, 9, 9, 1, 9, 9]));
    assert!(gpu().run_tensors(&paged, &good).is_ok(), "a page that no new row reaches is not looked at");
    for (dim, bad) in [
        ("dim", CacheAppend { dim: 257, ..op.clone() }),
        ("heads", CacheAppend { heads: 0, ..op.clone() }),
        ("seq", CacheAppend { seq: 11, ..op.clone() }),
        ("page", CacheAppend { cache: CacheLayout::Paged { page: 0, pages: 5 }, ..op.clone() }),
        ("pages", CacheAppend { cache: CacheLayout::Paged { page: 4, pages: 0 }, ..op.clone() }),
    ] {
        t.refuse_spec(&bad, "Dim", dim);
    }
    t.refuse_spec(&CacheAppend { dtype: Dtype::U32, ..op }, "Option", "dtype");
}

#[test]
fn appends_in_int8() {
    let mut t = Trial::default();
    let op = CacheAppend { storage: Storage::INT8_PER_TOKEN, ..CacheAppend::new(2, 3, 4, 10, 10) };
    t.refuse_without(&op, "cache_scale");
    t.refuse_with(&op, "cache", zeros(Dtype::F32, &[2, 3, 10, 10]), "Shape", "cache");
    t.refuse_with(&op, "cache", zeros(Dtype::F32, &[2, 3, 10, 3]), "Dtype", "cache");
    t.refuse_with(&op, "cache_scale", zeros(Dtype::F32, &[3]), "Shape", "cache_scale");
    t.refuse_with(&op, "cache_scale", zeros(Dtype::F16, &[2, 3, 10]), "Dtype", "cache_scale");
    let floats = CacheAppend { storage: Storage::Float, ..op.clone() };
    t.refuse_with(&floats, "cache_scale", zeros(Dtype::F32, &[2, 3, 10]), "Unexpected", "cache_scale");
    let heads = CacheAppend { storage: Storage::INT8_PER_HEAD, ..op };
    t.refuse_without(&heads, "cache_scale");
    t.refuse_with(&heads, "cache_scale", zeros(Dtype::F32, &[2, 3, 10]), "Shape", "cache_scale");
    for bad in [-1.0, 1e-39, f32::NAN, f32::INFINITY, SCALE_LIMIT] {
        t.refuse_with(&heads, "cache_scale", Tensor::f32([3], [1.0, 0.0, bad]).unwrap(), "Value", "cache_scale[2]");
    }
}
