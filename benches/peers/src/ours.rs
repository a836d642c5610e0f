//! Gatefold's turn.

use std::sync::Arc;

use anyhow::{Context, Result};
use gatefold_wgpu::wgpu::{self, BufferUsages};
use gatefold_wgpu::{Attention, Bindings, Gpu, Op, Operand, Plan, Tensors};

use crate::clock::Contender;

/// Attention by Gatefold, over buffers that stay on the device.
pub(crate) struct Ours<'a> {
    gpu: &'a Gpu,
    op: Attention,
    operands: Vec<Operand>,
    bindings: Bindings,
    output: wgpu::Buffer,
    plan: Option<Arc<Plan>>,
}

impl<'a> Ours<'a> {
    /// Uploads the inputs.
    pub(crate) fn new(gpu: &'a Gpu, op: &Attention, inputs: &Tensors) -> Result<Self> {
        let operands = op.operands();
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let mut bindings = Bindings::new();
        let mut output = None;
        for o in &operands {
            let descriptor =
                wgpu::BufferDescriptor { label: Some(o.name), size: o.bytes(), usage, mapped_at_creation: false };
            let buffer = gpu.device().create_buffer(&descriptor);
            if let Some(given) = inputs.get(o.name) {
                gpu.queue().write_buffer(&buffer, 0, given.bytes());
            }
            bindings = bindings.bind(o.name, &buffer, 0);
            if o.name == "o" {
                output = Some(buffer);
            }
        }
        let output = output.context("attention has no output o")?;
        let ours = Self { gpu, op: op.clone(), operands, bindings, output, plan: None };
        gpu.queue().submit([]);
        ours.wait()?;
        Ok(ours)
    }

    fn wait(&self) -> Result<()> {
        self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).context("waiting for the device")?;
        Ok(self.gpu.check()?)
    }
}

impl Contender for Ours<'_> {
    fn name(&self) -> String {
        "gatefold".into()
    }

    fn run(&mut self, runs: usize) -> Result<()> {
        if self.plan.is_none() {
            self.plan = Some(self.gpu.plan(&self.op)?);
        }
        let plan = self.plan.as_ref().context("there is no plan")?;
        for _ in 0..runs {
            let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.gpu.encode(plan, &self.operands, &mut encoder, &self.bindings)?;
            self.gpu.queue().submit([encoder.finish()]);
        }
        self.wait()
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        let (device, size) = (self.gpu.device(), self.output.size());
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: Some("staging"), size, usage, mapped_at_creation: false };
        let staging = device.create_buffer(&descriptor);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.output, 0, &staging, 0, size);
        self.gpu.queue().submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.wait()?;
        let bytes = staging.get_mapped_range(..)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }
}
