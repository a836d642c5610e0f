//! Tensors from bytes.

use gatefold_core::{Data, Dtype, Op, Operand, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use half::f16;

use crate::draw::Draw;

/// Most elements of a tensor that is made from bytes.
const MOST: usize = 1 << 16;

/// A tensor for an operand: floats of a drawn family, words that are small, rising or anything. `None` if it would be large.
pub fn tensor(draw: &mut Draw<'_>, operand: &Operand) -> Option<Tensor> {
    let count = operand.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MOST)?;
    if operand.dtype == Dtype::U32 {
        let (style, most) = (draw.byte() % 4, u32::from(draw.byte()));
        let mut rng = Rng::new(u64::from(draw.byte()), 1);
        let mut sum = 0u32;
        let words = (0..count).map(|n| match style {
            0 => 0,
            1 => u32::try_from(n).unwrap_or(0),
            2 => {
                sum = sum.saturating_add(u32::from(draw.byte() % 4));
                sum.min(most)
            }
            _ => u32::try_from(rng.below(most as usize + 1)).unwrap_or(0),
        });
        return Tensor::u32(operand.dims.clone(), words.collect::<Vec<_>>()).ok();
    }
    let family = match draw.byte() % 8 {
        0..=3 => Family::Normal(1.0),
        4 => Family::Uniform,
        5 => Family::Integers,
        6 => Family::Denormal,
        _ => Family::Normal(100.0),
    };
    let width = operand.dims.last().copied().unwrap_or(1).max(1);
    let mut rng = Rng::new(u64::from(draw.byte()), 2);
    Tensor::float(operand.dtype, operand.dims.clone(), family.fill(&mut rng, count / width, width)).ok()
}

/// Inputs for an op: those of `from` whose shape and type fit, others from bytes. `None` if one would be large.
pub fn inputs<O: Op>(draw: &mut Draw<'_>, op: &O, from: &Tensors) -> Option<Tensors> {
    let mut all = Tensors::new();
    for o in op.operands().iter().filter(|o| o.role.is_given()) {
        let fits = from.get(o.name).filter(|t| t.dims() == o.dims && t.dtype() == o.dtype);
        let made = match fits {
            Some(t) => t.clone(),
            None => tensor(draw, o)?,
        };
        all.insert(o.name, made);
    }
    Some(all)
}

/// The same tensor with some elements replaced.
pub fn changed(draw: &mut Draw<'_>, tensor: &Tensor) -> Tensor {
    if tensor.is_empty() {
        return tensor.clone();
    }
    let places: Vec<_> = (0..1 + draw.byte() % 4).map(|_| draw.below(tensor.len())).collect();
    let dims = tensor.dims().to_vec();
    let made = match tensor.data() {
        Data::U32(words) => {
            let mut words = words.to_vec();
            for at in places {
                words[at] = match draw.byte() % 4 {
                    0 => words[at].wrapping_add(1),
                    1 => words[at].wrapping_sub(1),
                    _ => draw.index(),
                };
            }
            Tensor::u32(dims, words)
        }
        Data::F32(floats) => {
            let mut floats = floats.to_vec();
            places.into_iter().for_each(|at| floats[at] = draw.any_f32());
            Tensor::f32(dims, floats)
        }
        Data::F16(floats) => {
            let mut floats = floats.to_vec();
            places.into_iter().for_each(|at| floats[at] = f16::from_f32(draw.any_f32()));
            Tensor::f16(dims, floats)
        }
    };
    made.unwrap_or_else(|_| tensor.clone())
}

/// Replaces elements of one tensor after another, while there are bytes: of those of words only, or of all.
pub fn change(draw: &mut Draw<'_>, tensors: &mut Tensors, words_only: bool) {
    let names: Vec<String> =
        tensors.iter().filter(|(_, t)| !words_only || t.dtype() == Dtype::U32).map(|(n, _)| n.to_string()).collect();
    if names.is_empty() {
        return;
    }
    for _ in 0..1 + draw.byte() % 3 {
        let name = &names[draw.below(names.len())];
        let made = changed(draw, &tensors[name.as_str()]);
        tensors.insert(name.clone(), made);
    }
}
