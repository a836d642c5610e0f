//! Verdicts on tiles: a choice is followed only after the tile has given what the default gives, on a small case with seeded inputs.

use gatefold_core::{Data, Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::{Choices, Kernels, Limits, ShapeClass};
use half::f16;

use super::draw::{Draw, SEED};
use super::file;
use super::verdict::status;
use super::{FastPath, POISON, PathVerdict};
use crate::agree::disagreement;
use crate::signal::lock;
use crate::{Gpu, RunError, RunOptions};

/// The largest case that a tile is tried on: half a second on a software driver.
const MOST_FLOPS: f64 = 16e9;
const MOST_BYTES: f64 = 256e6;

/// Seeded contents of an operand: floats from −1 to 1, and bits or zeros where it holds integers.
fn drawn(operand: &Operand, draw: &mut Draw, bits: bool) -> Result<Tensor, RunError> {
    let (n, dims) = (operand.len(), operand.dims.clone());
    Ok(match operand.dtype {
        Dtype::F32 => Tensor::f32(dims, (0..n).map(|_| draw.single(-1.0, 1.0)).collect::<Vec<_>>())?,
        Dtype::F16 => Tensor::f16(dims, (0..n).map(|_| f16::from_f32(draw.single(-1.0, 1.0))).collect::<Vec<_>>())?,
        Dtype::U32 => Tensor::u32(dims, (0..n).map(|_| if bits { draw.word() } else { 0 }).collect::<Vec<_>>())?,
    })
}

/// Seeded inputs that the op accepts: integers of any bits, else zeros. `None`: it accepts neither.
pub(super) fn inputs<O: Kernels>(op: &O) -> Result<Option<Tensors>, RunError> {
    for bits in [true, false] {
        let mut draw = Draw(SEED);
        let mut inputs = Tensors::new();
        for operand in op.operands().iter().filter(|o| o.role.is_given()) {
            inputs.insert(operand.name, drawn(operand, &mut draw, bits)?);
        }
        if op.check_inputs(&inputs).is_ok() {
            return Ok(Some(inputs));
        }
    }
    Ok(None)
}

/// A case in which a class's tiles can be tried: the op's own small one if it is of the class, else the op itself if it is small.
fn case<O: Kernels>(op: &O, class: &str, limits: &Limits) -> Option<O> {
    let small = |case: &O| {
        let cost = case.cost();
        cost.flops <= MOST_FLOPS && cost.bytes <= MOST_BYTES
    };
    let of_class = |case: &O| case.classes(limits).iter().any(|c| c.name == class);
    let trial = op.trial().filter(|t| t.validate().is_ok() && of_class(t));
    trial.into_iter().chain([op.clone()]).find(small)
}

/// Whether outputs hold anything but zeros: if not, nothing was compared.
fn says_something(outputs: &Tensors) -> bool {
    outputs.iter().any(|(_, t)| match t.data() {
        Data::U32(words) => words.iter().any(|&w| w != 0),
        _ => t.to_f32().iter().any(|&x| x != 0.0 && x.is_finite()),
    })
}

impl Gpu {
    /// Notes the verdict on a tile, in the file as well.
    pub(crate) fn note_tile(&self, class: &str, tile: &str, result: Result<(), String>) -> PathVerdict {
        let path = FastPath::Tile { class: class.into(), tile: tile.into() };
        let verdict = PathVerdict { path, status: status(result), seed: SEED };
        file::set_tile(&mut lock(&self.trust().tiles), verdict.clone());
        if let Some(path) = self.options().verdict_file.as_deref() {
            // A verdict that is not kept is found again.
            let _ = file::save(path, self.info(), |known| file::set_tile(&mut known.tiles, verdict.clone()));
        }
        verdict
    }

    fn known_tile(&self, class: &str, tile: &str) -> Option<PathVerdict> {
        let path = FastPath::Tile { class: class.into(), tile: tile.into() };
        lock(&self.trust().tiles).iter().find(|v| v.path == path).cloned()
    }

    /// Runs a case with a plan, with poison and guard zones. The inner error is what is wrong with the plan.
    async fn tried<O: Kernels>(
        &self,
        case: &O,
        inputs: &Tensors,
        choices: Choices,
    ) -> Result<Result<Tensors, String>, RunError> {
        let plan = match self.settled(case, &Limits { choices, ..self.limits().clone() }) {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let options = RunOptions { poison: Some(POISON), guard: true, ..RunOptions::default() };
        match self.run_plan_async(&plan, &case.operands(), inputs, &options).await {
            Ok(ran) if ran.faults.is_empty() => Ok(Ok(ran.outputs)),
            Ok(ran) => Ok(Err(ran.faults.join("; "))),
            Err(error @ (RunError::DeviceLost { .. } | RunError::DeviceHung { .. } | RunError::OutOfMemory { .. })) => {
                Err(error)
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Tries a tile beside the default. `None`: there is no small case, or the default itself does not run it.
    async fn try_tile<O: Kernels>(&self, op: &O, class: &str, tile: &str) -> Result<Option<PathVerdict>, RunError> {
        let Some(case) = case(op, class, self.limits()) else { return Ok(None) };
        let Some(inputs) = inputs(&case)? else { return Ok(None) };
        let default = match self.tried(&case, &inputs, Choices::new()).await? {
            Ok(outputs) if says_something(&outputs) => outputs,
            _ => return Ok(None),
        };
        let mut choices = Choices::new();
        choices.set(class, tile);
        let result = match self.tried(&case, &inputs, choices).await? {
            Ok(outputs) => disagreement(&default, &outputs, case.cost().flops).map_or(Ok(()), Err),
            Err(why) => Err(why),
        };
        Ok(Some(self.note_tile(class, tile, result)))
    }

    /// The choices that an op may follow: those whose tiles have passed, now or before; and what became of each of its classes. Others'
    /// classes stay as they are, since this op does not look at them.
    pub(crate) fn trusted_choices<O: Kernels>(
        &self,
        op: &O,
        mut choices: Choices,
    ) -> Result<(Choices, Vec<String>), RunError> {
        let mut reasons = Vec::new();
        if choices.is_empty() {
            return Ok((choices, reasons));
        }
        for ShapeClass { name, tiles } in op.classes(self.limits()) {
            // The default needs no verdict, and what is no tile here is passed over by the planner.
            let Some(tile) = choices.get(&name).filter(|&t| tiles.iter().skip(1).any(|other| other == t)) else {
                continue;
            };
            let tile = tile.to_owned();
            let verdict = match self.known_tile(&name, &tile) {
                // A browser's thread cannot wait.
                None if cfg!(target_arch = "wasm32") => None,
                None => pollster::block_on(self.try_tile(op, &name, &tile))?,
                known => known,
            };
            if !verdict.as_ref().is_some_and(PathVerdict::passed) {
                choices.remove(&name);
            }
            reasons.push(verdict.map_or_else(
                || {
                    format!(
                        "tile {tile} for {name}: not tried here, as no small case of it is known; not used: tune it"
                    )
                },
                |v| v.to_string(),
            ));
        }
        Ok((choices, reasons))
    }
}
