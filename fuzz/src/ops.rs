//! One of all ops, by a number.

use gatefold_core::{Op, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;

use crate::draw::Draw;

/// What is done with an op of any type.
pub trait Visit {
    /// Does it.
    fn visit<O: Reference + Kernels>(self, draw: Draw<'_>);
}

/// Names of all ops, in the order of the documents.
pub fn names() -> Vec<&'static str> {
    macro_rules! names {
        ($($op:ty),*) => { vec![$(<$op as Op>::NAME),*] };
    }
    for_each_op!(names)
}

/// Visits the op that the first byte stands for.
pub fn visit(bytes: &[u8], visitor: impl Visit) {
    let mut draw = Draw::new(bytes);
    let count = names().len();
    let at = usize::from(draw.byte()) % count;
    let mut number = 0;
    macro_rules! one {
        ($($op:ty),*) => {$(
            if number == at {
                return visitor.visit::<$op>(draw);
            }
            number += 1;
        )*};
    }
    for_each_op!(one);
    let _ = number;
}
