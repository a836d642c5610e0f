//! burn's turn: its tuned attention, and attention from its matmul and softmax or sigmoid, whose scores pass through memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
pub(crate) use burn::tensor::Device;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Bool, DeviceKind, Tensor, TensorData};
use gatefold_wgpu::attention::{Causal, Weight};
use gatefold_wgpu::{Attention, Gpu, Tensors};

use crate::cases::{Case, What};
use crate::clock::Contender;
use crate::report::Peer;

/// This package's lock file: which versions are built in.
const LOCK: &str = include_str!("../Cargo.lock");

/// The version of a package that is built in.
fn locked(package: &str) -> String {
    let entry = format!("name = \"{package}\"\nversion = \"");
    LOCK.split(&entry).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("unknown").into()
}

/// burn's version.
pub(crate) fn version() -> String {
    locked("burn")
}

/// burn, as the report names it.
pub(crate) fn peer() -> Peer {
    let compiler = if cfg!(feature = "spirv") { "SPIR-V where Vulkan has it" } else { "WGSL" };
    let (attention, wgpu) = (locked("cubek-attention"), locked("wgpu"));
    let how = format!("cubek-attention {attention}, wgpu {wgpu}, {compiler}, autotune and fusion on");
    Peer { name: "burn".into(), version: version(), how }
}

/// Runs what may panic: how burn reports most faults.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        bail!("it panicked: {}", text.lines().next().unwrap_or_default())
    })
}

/// What tells one adapter from another.
fn identity(info: &wgpu::AdapterInfo) -> (String, u32, u32, String, wgpu::Backend) {
    (info.name.clone(), info.vendor, info.device, info.device_pci_bus_id.clone(), info.backend)
}

/// burn counts adapters of a kind: the place of ours among its like.
fn kind(ours: &wgpu::AdapterInfo) -> Result<(DeviceKind, WgpuBackend)> {
    let backend = match ours.backend {
        wgpu::Backend::Vulkan => WgpuBackend::Vulkan,
        wgpu::Backend::Metal => WgpuBackend::Metal,
        wgpu::Backend::Dx12 => WgpuBackend::Dx12,
        other => bail!("it has no {other:?}"),
    };
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = ours.backend.into();
    let all = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(ours.backend.into()));
    let like = all.iter().map(wgpu::Adapter::get_info).filter(|info| info.device_type == ours.device_type);
    let place = like.map(|info| identity(&info)).position(|one| one == identity(ours));
    let place = place.ok_or_else(|| anyhow!("it does not see {}", ours.name))?;
    let kind = match ours.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(place),
        wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(place),
        wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(place),
        wgpu::DeviceType::Cpu if place == 0 => DeviceKind::Cpu,
        other => bail!("it cannot choose adapter {place} of kind {other:?}"),
    };
    Ok((kind, backend))
}

/// Opens burn's own device, with the features that burn asks for, on the adapter that `gpu` is on.
pub(crate) fn open(gpu: &Gpu) -> Result<Device> {
    let ours = gpu.device().adapter_info();
    caught(|| {
        let (kind, backend) = kind(&ours)?;
        let options = Device::wgpu_options().device_kind(kind).graphics_api(backend);
        let (device, setup) = options.init_with_setup().context("opening a device")?;
        let theirs = setup.adapter.get_info();
        if identity(&theirs) != identity(&ours) {
            bail!("it opened {} instead of {}", theirs.name, ours.name);
        }
        Ok(device)
    })
}

/// Inputs on the device.
struct Inputs {
    device: Device,
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    /// True where a causal mask hides a key.
    hidden: Option<Tensor<4, Bool>>,
    op: Attention,
}

/// How burn computes attention.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// `burn::tensor::module::attention`, which tries its kernels at the first call and keeps the fastest.
    Tuned,
    /// A product, the weights, a product.
    ThreeOps,
}

struct WithBurn {
    inputs: Rc<Inputs>,
    how: How,
    last: Option<Tensor<4>>,
}

impl WithBurn {
    fn compute(&self) -> Tensor<4> {
        let Inputs { q, k, v, hidden, op, .. } = &*self.inputs;
        let causal = op.causal != Causal::None;
        if self.how == How::Tuned {
            let options = AttentionModuleOptions { scale: None, softcap: None, is_causal: causal };
            return attention(q.clone(), k.clone(), v.clone(), None, None, options);
        }
        let scale = 1.0 / (op.dims.head_dim as f64).sqrt();
        let mut scores = q.clone().matmul(k.clone().swap_dims(2, 3)) * scale;
        if let Some(hidden) = hidden {
            scores = scores.mask_fill(hidden.clone(), -1e30);
        }
        let weights = match op.weight {
            Weight::Softmax => softmax(scores, 3),
            _ => sigmoid(scores - (op.dims.seq_kv as f64).ln()),
        };
        weights.matmul(v.clone())
    }
}

impl Contender for WithBurn {
    fn name(&self) -> String {
        if self.how == How::Tuned { "burn, attention" } else { "burn, three ops" }.into()
    }

    fn run(&mut self, runs: usize) -> Result<()> {
        caught(|| {
            // Kept until all is done, so that nothing is dropped before it was computed.
            let mut made: Vec<_> = (0..runs).map(|_| self.compute()).collect();
            self.inputs.device.sync().map_err(|e| anyhow!("{e:?}"))?;
            self.last = made.pop();
            Ok(())
        })
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        let last = self.last.take().context("nothing was run")?;
        caught(|| read(last.try_into_data().map_err(|e| anyhow!("{e:?}"))?))
    }
}

fn read(data: TensorData) -> Result<Vec<f32>> {
    data.try_to_vec::<f32>().map_err(|e| anyhow!("{e:?}"))
}

/// burn's ways to compute a case.
pub(crate) fn all(device: &Device, case: &Case, inputs: &Tensors, fused_only: bool) -> Result<Vec<Box<dyn Contender>>> {
    match &case.what {
        What::Attention(op) => attentions(device, op, inputs, fused_only),
        What::Matmul(size) => caught(|| Ok(vec![matmul(device, *size)])),
    }
}

/// burn's ways to compute an attention; one with sigmoid weights it has from parts only.
fn attentions(device: &Device, op: &Attention, inputs: &Tensors, fused_only: bool) -> Result<Vec<Box<dyn Contender>>> {
    let d = op.dims;
    let upload = |name: &str| -> Result<Tensor<4>> {
        let given = inputs.get(name).with_context(|| format!("{name} was not drawn"))?;
        let shape = [d.batch, d.q_heads, d.seq_q, d.head_dim];
        Ok(Tensor::from_data(TensorData::new(given.to_f32(), shape), device))
    };
    let inputs = caught(|| {
        let mask = || Tensor::<2, Bool>::tril_mask([d.seq_q, d.seq_kv], 0, device).unsqueeze::<4>();
        let hidden = (op.causal != Causal::None).then(mask);
        let (q, k, v) = (upload("q")?, upload("k")?, upload("v")?);
        device.sync().map_err(|e| anyhow!("{e:?}"))?;
        Ok(Rc::new(Inputs { device: device.clone(), q, k, v, hidden, op: op.clone() }))
    })?;
    let hows: &[How] = match op.weight {
        Weight::Softmax if fused_only => &[How::Tuned],
        Weight::Softmax => &[How::Tuned, How::ThreeOps],
        _ => &[How::ThreeOps],
    };
    let make = |how: &How| Box::new(WithBurn { inputs: inputs.clone(), how: *how, last: None }) as Box<dyn Contender>;
    Ok(hows.iter().map(make).collect())
}

struct Product {
    device: Device,
    a: Tensor<2>,
    b: Tensor<2>,
    last: Option<Tensor<2>>,
}

impl Contender for Product {
    fn name(&self) -> String {
        "burn".into()
    }

    fn run(&mut self, runs: usize) -> Result<()> {
        caught(|| {
            let mut made: Vec<_> = (0..runs).map(|_| self.a.clone().matmul(self.b.clone())).collect();
            self.device.sync().map_err(|e| anyhow!("{e:?}"))?;
            self.last = made.pop();
            Ok(())
        })
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        let last = self.last.take().context("nothing was run")?;
        caught(|| read(last.try_into_data().map_err(|e| anyhow!("{e:?}"))?))
    }
}

/// burn's product of two square matrices.
fn matmul(device: &Device, size: usize) -> Box<dyn Contender> {
    let values = |step: usize| (0..size * size).map(|n| ((n * step) % 17) as f32 / 8.0 - 1.0).collect::<Vec<_>>();
    let make = |step| Tensor::<2>::from_data(TensorData::new(values(step), [size, size]), device);
    Box::new(Product { device: device.clone(), a: make(7), b: make(5), last: None })
}
