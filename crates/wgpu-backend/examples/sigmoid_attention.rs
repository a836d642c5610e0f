//! Sigmoid attention on the best adapter of this machine.
use gatefold_wgpu::attention::{Dims, Inputs};
use gatefold_wgpu::{Attention, Gpu, RunError, Tensor};

fn main() -> Result<(), RunError> {
    let gpu = Gpu::new()?;
    let attention = Attention::sigmoid(Dims::new(1, 8, 128, 64)); // batch, heads, sequence, head_dim; bias −ln 128
    let random = |salt: usize| (0..8 * 128 * 64).map(|n| ((n * 7 + salt) % 13) as f32 / 6.0 - 1.0).collect::<Vec<_>>();
    let tensor = |salt| Tensor::f32([1, 8, 128, 64], random(salt));
    let (q, k, v) = (tensor(1)?, tensor(2)?, tensor(3)?);
    let out = gpu.run(&attention, Inputs { q, k, v, ..Inputs::default() })?;
    println!("{}: o {:?}, o[0] = {}", gpu.info().name, out.o.dims(), out.o.to_f32()[0]);
    Ok(())
}
