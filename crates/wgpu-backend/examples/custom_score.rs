//! A score of one's own: keys count less with distance, and a token sees its own document only. Checked against f64 before it is used.
use gatefold_cpu_ref::check;
use gatefold_wgpu::attention::{Causal, Dims, Inputs, MaskMod, ScoreMod};
use gatefold_wgpu::{Attention, AttentionBackward, Gpu, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Each function twice: as WGSL for the GPU, as Rust over f64 for the reference.
    let near = ScoreMod::custom(
        "near",
        "fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 {
             return score - 0.1 * f32(head + 1u) * abs(f32(i) - f32(j));
         }",
        |score, _, head, i, j| score - 0.1 * f64::from(head + 1) * f64::from(i.abs_diff(j)),
    )
    .with_slope(
        "fn score_mod_slope(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 { return 1.0; }",
        |_, _, _, _, _| 1.0,
    );
    let documents = MaskMod::custom(
        "documents",
        "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool { return i / 32u == j / 32u; }",
        |_, _, i, j| i / 32 == j / 32,
    );
    let plain = Attention { causal: Causal::TopLeft, lse: true, ..Attention::softmax(Dims::new(1, 4, 128, 64)) };
    let attention = plain.with_score_mod(near).with_mask_mod(documents);

    // Eight random inputs, every element within its own error bound; forward, then backward.
    let gpu = Gpu::new()?;
    let found = check(&attention, 8, |op, inputs| gpu.run_tensors(op, inputs))?;
    println!("forward: {} elements, worst error/bound {:.3}", found.elements, found.worst.ratio);
    let gradient = AttentionBackward::new(attention.clone());
    let found = check(&gradient, 2, |op, inputs| gpu.run_tensors(op, inputs))?;
    println!("backward: {} elements, worst error/bound {:.3}", found.elements, found.worst.ratio);

    let random = |salt: usize| (0..4 * 128 * 64).map(|n| ((n * 7 + salt) % 13) as f32 / 6.0 - 1.0).collect::<Vec<_>>();
    let tensor = |salt| Tensor::f32([1, 4, 128, 64], random(salt));
    let out = gpu.run(&attention, Inputs { q: tensor(1)?, k: tensor(2)?, v: tensor(3)?, ..Inputs::default() })?;
    println!("{}: o {:?}, o[0] = {}", gpu.info().name, out.o.dims(), out.o.to_f32()[0]);
    Ok(())
}
