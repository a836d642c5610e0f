//! Target 3: contents of buffers against the checks and the reference.

use gatefold_core::{Operand, Tensors};
use gatefold_cpu_ref::{Reference, bounded, outputs};
use gatefold_shaders::Kernels;

use crate::draw::Draw;
use crate::ops::{Visit, visit};
use crate::{specs, values};

/// Lengths, offsets, page tables, expert indices and plans with anything in them, and floats that are none: they are refused by name, or the reference
/// gives every output in full. So do checks of outputs that hold anything.
pub fn contents(bytes: &[u8]) {
    visit(bytes, Contents);
}

struct Contents;

/// Outputs of an op that hold anything.
fn any_outputs(draw: &mut Draw<'_>, operands: &[Operand], given: &Tensors) -> Tensors {
    let mut all = Tensors::new();
    for o in operands.iter().filter(|o| o.role.is_made()) {
        all = all.with_some(o.name, given.get(o.name).map(|t| values::changed(draw, t)));
    }
    all
}

impl Visit for Contents {
    fn visit<O: Reference + Kernels>(self, mut draw: Draw<'_>) {
        let Some((op, base, _)) = specs::small::<O>(&mut draw) else { return };
        let Some(mut inputs) = values::inputs(&mut draw, &op, base) else { return };
        let words_only = draw.byte().is_multiple_of(2);
        values::change(&mut draw, &mut inputs, words_only);
        if let Err(e) = op.check_inputs(&inputs) {
            assert!(!e.to_string().is_empty());
            return;
        }
        let operands = op.operands();
        let plain = outputs(&op, &inputs);
        let exact = bounded(&op, &inputs);
        for o in operands.iter().filter(|o| o.role.is_made()) {
            assert_eq!(plain[o.name].len(), o.len(), "{}", o.name);
            let exact = &exact.outputs[o.name];
            assert_eq!((exact.values.len(), exact.bounds.len()), (o.len(), o.len()), "{}", o.name);
            let negative = exact.bounds.iter().position(|b| b.is_nan() || *b < 0.0);
            assert_eq!(negative, None, "{} of {}: a bound that is none", o.name, op.label());
        }
        let found = op.check_outputs(&plain);
        assert!(found.as_ref().err().is_none_or(|e| !e.to_string().is_empty()));
        // what no kernel would leave must not panic either
        let _ = op.check_outputs(&any_outputs(&mut draw, &operands, &plain));
    }
}
