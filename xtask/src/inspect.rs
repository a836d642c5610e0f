//! Looking inside: the linked text of a variant, the plan of a spec.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::HALVES;
use gatefold_shaders::{DeviceKind, Kernels, Limits, MatrixUnit, Step, link};
use gatefold_tests::conformance::op_names;
use gatefold_wgpu::Gpu;

use crate::verify::open;

/// `cargo xtask expand`.
#[derive(Debug, clap::Args)]
pub(crate) struct Expand {
    /// Variant name, or a part that only one variant has
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the variants that the test cases reach
    #[arg(long)]
    list: bool,
}

/// Drawn cases looked at after the planned ones.
pub(crate) const DRAWN: u64 = 200;

/// The kinds of adapter whose variants are looked at; no adapter is needed.
pub(crate) fn kinds() -> [Limits; 5] {
    let gpu = Limits { f16: true, workgroup_memory: 32 << 10, ..Limits::webgpu_default() };
    let cpu = Limits { kind: DeviceKind::Cpu, ..gpu.clone() };
    let matrix = Limits { matrix: Some(MatrixUnit { edge: 16, lanes: 64 }), ..gpu.clone() };
    [matrix, Limits { subgroup: Some(32), ..gpu.clone() }, gpu, Limits { subgroup: Some(8), ..cpu.clone() }, cpu]
}

/// Adds the variants that the cases of one op reach.
fn reached<O: Reference + Kernels>(found: &mut BTreeMap<String, Step>) {
    for seed in (0..O::PLANNED + DRAWN).chain(HALVES..HALVES + O::PLANNED) {
        let op = O::case(seed).op;
        for plan in kinds().iter().filter_map(|limits| op.plan(limits).ok()) {
            for step in plan.steps {
                found.entry(step.name.clone()).or_insert(step);
            }
        }
    }
}

/// Every variant that the cases of the reference reach, by name.
pub(crate) fn variants() -> BTreeMap<String, Step> {
    let mut found = BTreeMap::new();
    macro_rules! all {
        ($($op:ty),*) => {$( reached::<$op>(&mut found); )*};
    }
    for_each_op!(all);
    found
}

impl Expand {
    pub(crate) fn run(&self) -> Result<u8> {
        let all = variants();
        let Some(name) = self.name.as_ref().filter(|_| !self.list) else {
            all.keys().for_each(|name| println!("{name}"));
            println!("{} variants", all.len());
            return Ok(0);
        };
        let step = match all.get(name) {
            Some(step) => step,
            None => {
                let like: Vec<_> = all.values().filter(|s| s.name.contains(name.as_str())).collect();
                match like[..] {
                    [one] => one,
                    [] => bail!("{name}: no such variant; `cargo xtask expand --list` names {}", all.len()),
                    _ => {
                        let names = like.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("\n  ");
                        bail!("{name}: {} variants have this in their name:\n  {names}", like.len());
                    }
                }
            }
        };
        let module = link::link(step)?;
        println!("{}", module.text);
        eprintln!(
            "{}: workgroup {:?}, {} bytes of workgroup memory, {} bindings",
            step.name,
            module.workgroup_size,
            module.workgroup_bytes,
            module.bindings.len()
        );
        Ok(0)
    }
}

/// `cargo xtask plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanOf {
    /// JSON file: `{"op": "attention", "spec": {"dims": {…}}}`
    spec: PathBuf,
    /// Index of the adapter or part of its name
    #[arg(long)]
    adapter: Option<String>,
}

/// The plan of a spec in JSON, as text.
fn plan_text<O: Kernels>(gpu: &Gpu, spec: serde_json::Value) -> Result<String> {
    let op: O = serde_json::from_value(spec).with_context(|| format!("reading a spec of {}", O::NAME))?;
    let plan = gpu.plan(&op)?;
    let cost = op.cost();
    Ok(format!(
        "{} [{}]: {:.3e} FLOPs, {:.3e} bytes by definition\n{plan}",
        op.label(),
        op.size_label(),
        cost.flops,
        cost.bytes
    ))
}

impl PlanOf {
    pub(crate) fn run(&self) -> Result<u8> {
        let text = std::fs::read_to_string(&self.spec).with_context(|| format!("reading {}", self.spec.display()))?;
        let case: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", self.spec.display()))?;
        let name = case["op"].as_str().ok_or_else(|| anyhow!("{}: expected a key \"op\"", self.spec.display()))?;
        let gpu = open(self.adapter.as_deref())?;
        println!("{}\nverdicts: {}", gpu.info(), gpu.verdict_file());
        macro_rules! find {
            ($($op:ty),*) => {$(
                if name == <$op as gatefold_core::Op>::NAME {
                    println!("{}", plan_text::<$op>(&gpu, case["spec"].clone())?);
                    return Ok(0);
                }
            )*};
        }
        for_each_op!(find);
        bail!("op: expected one of {}, got {name}", op_names().join(", "))
    }
}
