//! Target 1: specs, shapes and masks against the validator.

use gatefold_core::{Dtype, Operand, Tensor, Tensors};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;

use crate::draw::Draw;
use crate::ops::{Visit, visit};
use crate::{specs, values};

/// A spec is refused by name, or else all that it says of itself is sound: its operands can be addressed, its cost is a number, it survives being
/// written and read, and inputs are refused unless they fit it.
pub fn shapes(bytes: &[u8]) {
    visit(bytes, Shapes);
}

struct Shapes;

/// Most elements of an operand that can be addressed (`gatefold_core`'s own limit).
const ADDRESSABLE: u64 = (1 << 32) - (1 << 16);

fn check_operand(o: &Operand, op: &str) {
    let count = o.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
    let fits = o.dims.contains(&0) || count.is_some_and(|n| n <= ADDRESSABLE);
    assert!(fits, "{op}: {} of shape {:?} was let through", o.name, o.dims);
    assert_eq!(o.is_empty(), o.dims.contains(&0));
    if !o.is_empty() {
        assert_eq!(o.bytes(), count.unwrap_or_default() * o.dtype.size() as u64);
    }
}

/// A tensor whose shape is not to be trusted, or none.
fn hostile(draw: &mut Draw<'_>, operand: &Operand) -> Option<Tensor> {
    let mut dims = operand.dims.clone();
    match draw.byte() % 8 {
        0 => return None,
        1 => drop(dims.pop()),
        2 => dims.push(usize::try_from(draw.size()).unwrap_or(usize::MAX)),
        3 if !dims.is_empty() => {
            let at = draw.below(dims.len());
            dims[at] = usize::try_from(draw.size()).unwrap_or(usize::MAX);
        }
        _ => {}
    }
    let dtype = if draw.one_in(16) { draw.pick(&[Dtype::F32, Dtype::F16, Dtype::U32]) } else { operand.dtype };
    if draw.one_in(8) {
        // elements that do not go with the shape
        let given = Tensor::f32(dims.clone(), vec![0.0; usize::from(draw.byte())]);
        return given.or_else(|_| Tensor::from_bytes(dtype, dims, &[0; 64])).ok();
    }
    values::tensor(draw, &Operand { dims, dtype, ..operand.clone() })
}

impl Visit for Shapes {
    fn visit<O: Reference + Kernels>(self, mut draw: Draw<'_>) {
        let Some(op) = specs::any::<O>(&mut draw) else { return };
        if let Err(e) = op.validate() {
            assert!(!e.to_string().is_empty());
            return;
        }
        let operands = op.operands();
        operands.iter().for_each(|o| check_operand(o, O::NAME));
        let cost = op.cost();
        assert!(cost.flops.is_finite() && cost.flops >= 0.0, "{}: {} FLOPs", op.label(), cost.flops);
        assert!(cost.bytes.is_finite() && cost.bytes >= 0.0, "{}: {} bytes", op.label(), cost.bytes);
        assert!(!op.label().is_empty() && !op.size_label().is_empty());
        let text = serde_json::to_string(&op).expect("a valid spec can be written");
        let again: O = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(serde_json::to_string(&again).is_ok_and(|t| t == text), "{text}: another spec when read again");
        let mut given = Tensors::new();
        for o in operands.iter().filter(|o| o.role.is_given()) {
            given = given.with_some(o.name, hostile(&mut draw, o));
        }
        if draw.one_in(16) {
            given.insert("nobody", Tensor::default());
        }
        if op.check_inputs(&given).is_ok() {
            for o in operands.iter().filter(|o| o.role.is_given()) {
                let t = given.get(o.name).unwrap_or_else(|| panic!("{} is missing and was not missed", o.name));
                assert_eq!((t.dims(), t.dtype()), (&o.dims[..], o.dtype), "{}", o.name);
            }
            assert!(given.get("nobody").is_none(), "an input of no name was let through");
        }
    }
}
