//! Matrix operations have modules to themselves.

use naga::{Expression, Function};

use super::{Finding, Rule, at};
use crate::link::Module;

fn is_matrix(e: &Expression) -> bool {
    matches!(e, Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. })
}

fn is_subgroup(e: &Expression) -> bool {
    matches!(e, Expression::SubgroupOperationResult { .. } | Expression::SubgroupBallotResult)
}

/// The first subgroup operation of a module that has matrices.
pub(super) fn check(module: &Module) -> Option<Finding> {
    let naga = &module.naga;
    let functions = || naga.functions.iter().map(|(_, f)| f).chain(naga.entry_points.iter().map(|e| &e.function));
    let first = |is: fn(&Expression) -> bool| {
        let place = |f: &Function| f.expressions.iter().find(|(_, e)| is(e)).map(|(h, _)| f.expressions.get_span(h));
        functions().find_map(place)
    };
    first(is_matrix)?;
    let span = first(is_subgroup)?;
    Some(at(module, span, Rule::MixedUnits, "a subgroup operation beside matrices".into()))
}
