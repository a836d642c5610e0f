//! Rules about single expressions: f16 arithmetic, `tanh`, infinities.

use naga::valid::FunctionInfo;
use naga::{Expression, Function, Handle, Literal, MathFunction, Scalar, ScalarKind, Span};

use super::{Finding, Rule, at};
use crate::link::Module;

/// Largest magnitude of a literal, but for its rounding to f32: sentinels lie at 3.0e38 or little beyond.
const LARGEST: f64 = 3.1e38 * (1.0 + 1e-6);

pub(super) fn check(module: &Module) -> Vec<Finding> {
    let mut found = Vec::new();
    for (handle, expression) in module.naga.global_expressions.iter() {
        let span = module.naga.global_expressions.get_span(handle);
        found
            .extend(infinity(expression, &module.naga.global_expressions).map(|m| at(module, span, Rule::Infinity, m)));
    }
    let functions = module.naga.functions.iter().map(|(handle, f)| (f, &module.info[handle]));
    let entry = std::iter::once((&module.naga.entry_points[0].function, module.info.get_entry_point(0)));
    for (function, info) in functions.chain(entry) {
        for (handle, expression) in function.expressions.iter() {
            let span: Span = function.expressions.get_span(handle);
            let mut add = |rule, message| found.push(at(module, span, rule, message));
            if let Some(message) = infinity(expression, &function.expressions) {
                add(Rule::Infinity, message);
            }
            if is_bare_tanh(expression, function) {
                add(Rule::BareTanh, "tanh of an argument that is not a clamp(…)".into());
            }
            if let Some(operand) = arithmetic_operand(expression)
                && is_half(module, info, operand)
            {
                add(Rule::HalfArithmetic, "arithmetic on f16".into());
            }
        }
    }
    found
}

fn infinity(expression: &Expression, all: &naga::Arena<Expression>) -> Option<String> {
    let value = match *expression {
        Expression::Literal(Literal::F32(x)) => f64::from(x),
        Expression::Literal(Literal::F64(x) | Literal::AbstractFloat(x)) => x,
        // A bit pattern known at compile time: exponent all ones is an infinity or a NaN.
        Expression::As { expr, kind: ScalarKind::Float, convert: None } => match all[expr] {
            Expression::Literal(Literal::U32(bits)) => f64::from(f32::from_bits(bits)),
            _ => return None,
        },
        _ => return None,
    };
    (value.is_nan() || value.abs() > LARGEST).then(|| format!("the constant {value:e}, at most 3.1e38 allowed"))
}

fn is_bare_tanh(expression: &Expression, function: &Function) -> bool {
    let Expression::Math { fun: MathFunction::Tanh, arg, .. } = *expression else {
        return false;
    };
    !matches!(function.expressions[arg], Expression::Math { fun: MathFunction::Clamp, .. })
}

/// The operand that decides in which type an expression computes.
fn arithmetic_operand(expression: &Expression) -> Option<Handle<Expression>> {
    match *expression {
        Expression::Binary { left, .. } => Some(left),
        Expression::Unary { expr, .. } => Some(expr),
        Expression::Math { arg, .. } => Some(arg),
        _ => None,
    }
}

fn is_half(module: &Module, info: &FunctionInfo, handle: Handle<Expression>) -> bool {
    let scalar = info[handle].ty.inner_with(&module.naga.types).scalar();
    matches!(scalar, Some(Scalar { kind: ScalarKind::Float, width: 2 }))
}
