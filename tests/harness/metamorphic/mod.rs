//! Runs whose outputs must be related: what is done to the inputs is undone on the outputs, and the two compared bit by bit or within the
//! bounds of the reference. The same relation run with a planted fault must break.

mod moving;
mod numbers;
mod order;
mod plans;
mod products;
mod routing;
mod rows;
mod storage;

pub use moving::*;
pub use numbers::*;
pub use order::*;
pub use plans::*;
pub use products::*;
pub use routing::*;
pub use rows::*;
pub use storage::*;

use gatefold_core::attention::{Bias, Dims, Normalizer, Weight};
use gatefold_core::{Attention, AttentionBackward, Dtype, Op, Role, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Bounded, Reference, bounded_as};
use gatefold_shaders::{Kernels, Limits, Plan};
use gatefold_wgpu::{AdapterKind, Gpu, RunOptions};

use crate::compare::same_bits;
use crate::mutants::Mutant;

/// Whether a property holds; if not, where it breaks.
pub type Outcomes = Result<(), String>;

/// Runs ops, with a fault planted in every kernel that it fits if there is one.
pub struct Runner<'a> {
    gpu: &'a Gpu,
    fault: Option<Mutant>,
    limits: Limits,
}

/// What a run gave, and what it ran.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Outputs.
    pub outputs: Tensors,
    /// Variants, in the plan's order.
    variants: Vec<String>,
    bounds: Bounded,
}

impl<'a> Runner<'a> {
    /// Of sound kernels.
    pub fn sound(gpu: &'a Gpu) -> Self {
        Self { gpu, fault: None, limits: gpu.limits().clone() }
    }

    /// Of kernels with a fault.
    pub fn with(gpu: &'a Gpu, fault: Mutant) -> Self {
        Self { fault: Some(fault), ..Self::sound(gpu) }
    }

    /// The same with plans for other limits, which the adapter must have.
    #[must_use]
    pub fn under(&self, limits: Limits) -> Self {
        Self { gpu: self.gpu, fault: self.fault, limits }
    }

    /// What plans are made for.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the adapter is a software driver.
    pub fn is_software(&self) -> bool {
        self.gpu.info().kind == AdapterKind::Cpu
    }

    /// Whether the adapter stores f16.
    pub fn has_f16(&self) -> bool {
        self.gpu.limits().f16
    }

    /// Runs an op on inputs that are legal.
    ///
    /// # Panics
    /// If the op or its inputs are refused, or the fault no longer fits: those are faults of the test.
    pub fn run<O: Reference + Kernels>(&self, op: &O, inputs: &Tensors) -> Outcome {
        op.check_inputs(inputs).unwrap_or_else(|e| panic!("{} {}: {e}", O::NAME, op.label()));
        let sound = op.plan(&self.limits).unwrap_or_else(|e| panic!("{} {}: {e}", O::NAME, op.label()));
        let plan: Plan = match &self.fault {
            None => sound.clone(),
            Some(fault) => fault.mutate(&sound).unwrap_or_else(|e| panic!("{e}")),
        };
        let ran = self.gpu.run_plan(&plan, &op.operands(), inputs, &RunOptions::default());
        let outputs = ran.unwrap_or_else(|e| panic!("{} {}: {e}", O::NAME, op.label())).outputs;
        let variants = sound.steps.iter().map(|s| s.name.clone()).collect();
        Outcome { outputs, variants, bounds: bounded_as(op, inputs, sound.rounds_weights) }
    }
}

impl Outcome {
    /// The same outcome with its outputs turned into what another run's should be.
    ///
    /// # Panics
    /// If `turn` does.
    #[must_use]
    pub fn turned(&self, turn: impl Fn(&str, &Tensor) -> Tensor) -> Self {
        let mut all = self.clone();
        all.outputs = turned(&self.outputs, &turn);
        for (name, b) in &mut all.bounds.outputs {
            #[allow(clippy::cast_possible_truncation, reason = "made larger than the rounding takes away")]
            let bounds: Vec<f32> = b.bounds.iter().map(|&x| (x * (1.0 + 1e-6)) as f32).collect();
            let bounds = turn(name, &Tensor::f32(b.dims.clone(), bounds).expect("a bound for each element"));
            (b.dims, b.bounds) = (bounds.dims().to_vec(), bounds.to_f64());
        }
        all
    }

    /// Whether both ran the same kernels and the outputs named agree in every bit.
    ///
    /// # Errors
    /// The first difference.
    pub fn same(&self, other: &Self, names: &[&str]) -> Result<(), String> {
        if self.variants != other.variants {
            return Err(format!("not the same plan: {:?} and {:?}", self.variants, other.variants));
        }
        self.same_in_any_plan(other, names)
    }

    /// Whether the outputs named agree in every bit, whatever ran.
    ///
    /// # Errors
    /// The first difference.
    pub fn same_in_any_plan(&self, other: &Self, names: &[&str]) -> Result<(), String> {
        let only = |t: &Tensors| -> Tensors { names.iter().map(|n| ((*n).to_string(), t[*n].clone())).collect() };
        same_bits(&only(&self.outputs), &only(&other.outputs))
    }

    /// What the order of sums hangs on in the kernels that have tiles: `lanes8`, `own8`, `stream32`.
    fn tiles(&self) -> Vec<String> {
        let tiled = self.variants.iter().filter(|name| name.contains(".own"));
        let part = |p: &&str| !p.starts_with("width") && p.ends_with(|c: char| c.is_ascii_digit());
        tiled.map(|name| name.rsplit('.').filter(part).take_while(|p| *p != "f32" && *p != "f16").collect()).collect()
    }

    /// Whether the outputs named agree in every bit if both ran kernels with the same tiles, and are near if not.
    ///
    /// # Errors
    /// The first difference.
    pub fn alike(&self, other: &Self, names: &[&str]) -> Result<(), String> {
        if self.tiles() == other.tiles() { self.same_in_any_plan(other, names) } else { self.near(other, names) }
    }

    /// Whether the outputs named are as near each other as the two runs' bounds admit.
    ///
    /// # Errors
    /// The worst element.
    pub fn near(&self, other: &Self, names: &[&str]) -> Result<(), String> {
        for name in names {
            let (a, b) = (self.outputs[*name].to_f64(), other.outputs[*name].to_f64());
            let (bound_a, bound_b) = (&self.bounds.outputs[*name].bounds, &other.bounds.outputs[*name].bounds);
            if a.len() != b.len() {
                return Err(format!("{name}: {} elements and {}", a.len(), b.len()));
            }
            // one rounding to storage each
            let stored = if self.outputs[*name].dtype() == Dtype::F16 { 2f64.powi(-10) } else { 0.0 };
            let apart =
                |e: usize| (a[e] - b[e]).abs() > bound_a[e] + bound_b[e] + stored * a[e].abs().max(2f64.powi(-14));
            if let Some(e) = (0..a.len()).find(|&e| a[e] != b[e] && (apart(e) || (a[e] - b[e]).is_nan())) {
                return Err(format!(
                    "{name}[{e}]: {:e} and {:e}, bounds {:e} and {:e}",
                    a[e], b[e], bound_a[e], bound_b[e]
                ));
            }
        }
        Ok(())
    }

    /// Whether an output is as near the sum of others' as all their bounds admit, and one rounding each.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn near_sum_of(&self, parts: &[&Self], name: &str) -> Result<(), String> {
        let got = self.outputs[name].to_f64();
        let unit = if self.outputs[name].dtype() == Dtype::F16 { 2f64.powi(-10) } else { 2f64.powi(-23) };
        for (e, &got) in got.iter().enumerate() {
            let terms: Vec<_> = parts.iter().map(|p| p.outputs[name].to_f64()[e]).collect();
            let rounding = unit * (got.abs() + terms.iter().map(|t| t.abs()).sum::<f64>());
            let bounds: f64 = parts.iter().chain([&self]).map(|p| p.bounds.outputs[name].bounds[e]).sum();
            let apart = (got - terms.iter().sum::<f64>()).abs();
            if apart.is_nan() || apart > bounds + rounding {
                return Err(format!("{name}[{e}]: {got:e}, the sum of {terms:?}, bound {bounds:e}"));
            }
        }
        Ok(())
    }

    /// Whether an output lies between two numbers, or no further beside them than its bound.
    ///
    /// # Errors
    /// The first element that does not.
    pub fn within(&self, name: &str, range: impl Fn(usize) -> (f64, f64)) -> Result<(), String> {
        let stored = if self.outputs[name].dtype() == Dtype::F16 { 2f64.powi(-10) } else { 0.0 };
        for (e, &got) in self.outputs[name].to_f64().iter().enumerate() {
            let ((low, high), bound) = (range(e), self.bounds.outputs[name].bounds[e] + stored * got.abs());
            if !(got >= low - bound && got <= high + bound) {
                return Err(format!("{name}[{e}]: {got:e} is not between {low:e} and {high:e}"));
            }
        }
        Ok(())
    }

    /// As [`near`](Self::near), with the bounds of the runs that this one's inputs came from beside its own: parts that were weighed by shares
    /// that add up to 1, or added. An error of `lse` turns the shares by as much.
    ///
    /// # Errors
    /// The first element that is not near.
    pub fn near_with(&self, whole: &Self, name: &str, parts: &[&Self]) -> Result<(), String> {
        let mut all = self.clone();
        let bound_of = |p: &Self, name: &str| p.bounds.outputs.get(name).map(|b| b.bounds.clone()).unwrap_or_default();
        let width = self.outputs[name].dims().last().copied().unwrap_or(1);
        let stored = if self.outputs[name].dtype() == Dtype::F16 { 2f64.powi(-10) } else { 0.0 };
        let own = &mut all.bounds.outputs.get_mut(name).expect("an output of that name").bounds;
        for part in parts {
            let (bounds, lse, values) = (bound_of(part, name), bound_of(part, "lse"), part.outputs[name].to_f64());
            for (e, own) in own.iter_mut().enumerate() {
                let turned = lse.get(e / width).copied().unwrap_or(0.0);
                *own += bounds[e] + (stored + 2.0 * turned) * values[e].abs();
            }
        }
        all.near(whole, &[name])
    }

    /// The same with another tensor for an output.
    #[must_use]
    pub fn with_output(mut self, name: &str, t: Tensor) -> Self {
        self.outputs.insert(name, t);
        self
    }

    /// The same with an output under another name.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        let (output, bounds) = (self.outputs.take(from), self.bounds.outputs.remove(from));
        self.outputs.insert(to, output.expect("an output of that name"));
        self.bounds.outputs.insert(to.into(), bounds.expect("an output of that name"));
        self
    }

    /// Whether an output is what is known of it, within the bound of its definition.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn is(&self, name: &str, known: &[f64]) -> Result<(), String> {
        self.within(name, |e| (known[e], known[e]))
    }

    /// Whether every element of an output is this number, within the bound of its definition.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn near_known(&self, name: &str, known: f64) -> Result<(), String> {
        self.within(name, |_| (known, known))
    }

    /// The bound of an element.
    fn bound(&self, name: &str, element: usize) -> f64 {
        self.bounds.outputs[name].bounds[element]
    }
}

/// Inputs of ordinary size, those that a forward pass leaves among them (by the definition). Integers must be given.
///
/// # Panics
/// If an integer operand is not in `given`.
pub fn draw<O: Reference>(op: &O, seed: u64, given: Tensors) -> Tensors {
    let mut rng = Rng::new(seed, 0x4e7a);
    let mut inputs = given;
    let made = ["o", "o_core", "lse", "row_sum"];
    for o in op.operands().into_iter().filter(|o| o.role.is_given()) {
        if inputs.get(o.name).is_some() || made.contains(&o.name) {
            continue;
        }
        assert!(o.dtype != Dtype::U32, "{} must be given", o.name);
        let numbers = Family::Normal(1.0).fill(&mut rng, o.len(), 1);
        inputs.insert(o.name, Tensor::float(o.dtype, o.dims, numbers).expect("as many numbers as the shape says"));
    }
    op.complete(inputs)
}

/// The elements `picks` along `axis`.
///
/// # Panics
/// If there is no such axis or element.
pub fn take(t: &Tensor, axis: usize, picks: &[usize]) -> Tensor {
    let (dims, size) = (t.dims(), t.dtype().size());
    let inner = dims[axis + 1..].iter().product::<usize>() * size;
    let outer: usize = dims[..axis].iter().product();
    let mut bytes = Vec::new();
    for o in 0..outer {
        for &pick in picks {
            let at = (o * dims[axis] + pick) * inner;
            bytes.extend_from_slice(&t.bytes()[at..at + inner]);
        }
    }
    let mut dims = dims.to_vec();
    dims[axis] = picks.len();
    Tensor::from_bytes(t.dtype(), dims, &bytes).expect("as many elements as picked")
}

/// Every element mapped; `map` is told its index.
///
/// # Panics
/// If the tensor holds integers.
pub fn map(t: &Tensor, map: impl Fn(usize, f32) -> f32) -> Tensor {
    let numbers = t.to_f32().into_iter().enumerate().map(|(e, x)| map(e, x)).collect();
    Tensor::float(t.dtype(), t.dims(), numbers).expect("as many elements as before")
}

/// The tensors, those named mapped.
#[must_use]
pub fn change(inputs: &Tensors, names: &[&str], change: impl Fn(&Tensor) -> Tensor) -> Tensors {
    let one =
        |(name, t): (&str, &Tensor)| (name.to_string(), if names.contains(&name) { change(t) } else { t.clone() });
    inputs.iter().map(one).collect()
}

/// Tensors beside each other along `axis`.
///
/// # Panics
/// If their other sizes differ.
pub fn join(parts: &[&Tensor], axis: usize) -> Tensor {
    let mut dims = parts[0].dims().to_vec();
    let outer: usize = dims[..axis].iter().product();
    let inner = |t: &Tensor| t.dims()[axis..].iter().product::<usize>() * t.dtype().size();
    let mut bytes = Vec::new();
    for o in 0..outer {
        parts.iter().for_each(|t| bytes.extend_from_slice(&t.bytes()[o * inner(t)..(o + 1) * inner(t)]));
    }
    dims[axis] = parts.iter().map(|t| t.dims()[axis]).sum();
    Tensor::from_bytes(parts[0].dtype(), dims, &bytes).expect("as many elements as joined")
}

/// Sizes of most properties: heads that share keys, tiles that are not full.
pub(crate) const DIMS: Dims =
    Dims { batch: 3, q_heads: 4, kv_heads: 2, seq_q: 20, seq_kv: 37, head_dim: 12, val_dim: 12 };
/// As many keys as dims of a value, so that unit vectors as values make the weights the output.
pub(crate) const SQUARE: Dims = Dims { q_heads: 2, seq_q: 12, seq_kv: 12, ..DIMS };

/// Softmax, a weight of its own score, one with a normaliser, and storage in f16 where there is any.
pub(crate) fn specs(runner: &Runner<'_>, dims: Dims) -> Vec<Attention> {
    let softmax = Attention::softmax(dims).saving(true);
    let sigmoid = Attention { bias: Bias::Const(-1.0), ..Attention::sigmoid(dims) };
    let relu = Attention { weight: Weight::Relu, normalizer: Normalizer::RowSum, ..Attention::softmax(dims) };
    let mut all = vec![softmax.clone(), sigmoid, relu.saving(true)];
    if runner.has_f16() {
        all.push(Attention { dtype: Dtype::F16, ..softmax });
    }
    all
}

/// The gradient's op.
pub(crate) fn gradient(op: &Attention) -> AttentionBackward {
    AttentionBackward::new(op.clone().saving(false))
}

/// The inputs that an op has.
pub(crate) fn of<O: Op>(op: &O, all: &Tensors) -> Tensors {
    let inputs = op.operands().into_iter().filter(|o| o.role == Role::Input);
    inputs.map(|o| (o.name.to_string(), all[o.name].clone())).collect()
}

/// The forward pass and the gradient, on inputs of the gradient.
pub(crate) fn both(runner: &Runner<'_>, op: &Attention, inputs: &Tensors) -> [Outcome; 2] {
    [runner.run(op, &of(op, inputs)), runner.run(&gradient(op), inputs)]
}

/// The outputs beside `o` that a spec has.
pub(crate) fn saved(op: &Attention) -> Vec<&'static str> {
    if op.weight == Weight::Sigmoid {
        vec!["o"]
    } else {
        vec!["o", if op.weight == Weight::Softmax { "lse" } else { "row_sum" }]
    }
}

/// Whether a tensor has a row per query; else it has one per key.
pub(crate) fn is_of_queries(name: &str) -> bool {
    matches!(name, "q" | "r" | "o" | "lse" | "row_sum" | "v_mean" | "rk_mean" | "d_o" | "d_q" | "d_r")
}

/// The tensors, each turned.
pub(crate) fn turned(inputs: &Tensors, turn: &impl Fn(&str, &Tensor) -> Tensor) -> Tensors {
    inputs.iter().map(|(name, t)| (name.to_string(), turn(name, t))).collect()
}
