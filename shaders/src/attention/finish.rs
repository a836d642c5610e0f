//! A gate that the core's kernels apply to a row as they store it: what they would store is in registers already.

use gatefold_core::Attention;

use super::dressed::add_to_name;
use super::layout::operand_bytes;
use super::row_files::activate;
use super::row_map::largest;
use super::{files, storage};
use crate::source::wgsl;
use crate::{Limits, Source, Step};

const SCALED: Source = wgsl!("attention/row_map/scaled.wgsl");

/// The files of a gate, and their part of a variant's name.
pub(super) struct Finish {
    slots: Vec<Source>,
    part: String,
}

impl Finish {
    /// The gate, if it is all that the epilogue does, if nothing wants what was there before it, and if there is a binding left for it.
    /// Where operands are bound a window at a time, its rows would be in windows of their own.
    pub(super) fn of(a: &Attention, limits: &Limits, steps: &[Step]) -> Option<Self> {
        let e = &a.epilogue;
        let gate = e.gate.filter(|_| e.norm.is_none() && !e.affine && !a.o_core)?;
        let is_whole = steps.iter().flat_map(|s| &s.dispatches).all(|d| d.windows.is_empty());
        let is_stored_once = a.reweight.is_none() && a.normalizer.of_head().is_none();
        // side q k v o gate, and what some have beside
        let beside = [a.lse || a.row_sum, a.score_bias.is_some(), a.local_linear];
        let bound = 6 + beside.into_iter().map(usize::from).sum::<usize>() + storage::bindings(a);
        if !is_whole
            || !is_stored_once
            || bound > limits.storage_buffers as usize
            || operand_bytes(a, "gate") > limits.binding_bytes
        {
            return None;
        }
        let (shape, file) = match gate.per_head {
            true => ("head", wgsl!("attention/finish/gate_head.wgsl")),
            false => ("element", wgsl!("attention/finish/gate_element.wgsl")),
        };
        let mut slots = vec![wgsl!("attention/finish/gated.wgsl"), file, SCALED];
        slots.extend(activate(gate.activation));
        Some(Self { slots, part: format!(".gate_{shape}_{}", gate.activation.name()) })
    }

    /// The step with the gate, if it stores rows of the output. What marks rows stores NaN, which a gate leaves NaN.
    pub(super) fn apply(&self, a: &Attention, step: &mut Step) {
        let stores = step.name.starts_with("attention_forward");
        let Some(slot) = step.slots.iter().position(|slot| *slot == files::FINISH).filter(|_| stores) else { return };
        let own: Vec<_> = self.slots.iter().copied().filter(|s| !step.slots.contains(s)).collect();
        step.slots.splice(slot..=slot, own);
        step.consts.push(largest(a.dtype));
        add_to_name(step, &self.part);
    }
}
