//! Kernels that overwrite their workgroup memory before they end, so that no later program finds anything there.
//!
//! The entry point becomes a function as any other, and a new one calls it, waits for the whole workgroup, and writes zeros. So it does not
//! matter where the kernel returns, and no kernel file knows of it. Lines stay where they were.

use naga::{AddressSpace, ArraySize, Handle, Scalar, ScalarKind, Type, TypeInner, VectorSize};

use crate::LinkError;
use crate::link::{Module, parse, validate};
use crate::reflect::reached;

/// What the entry point is called once another has its place.
const INNER: &str = "main_before_scrubbing";

/// An argument of an entry point: what stands before its name, and `name: type`.
struct Argument<'a> {
    whole: &'a str,
    plain: &'a str,
}

impl<'a> Argument<'a> {
    fn new(whole: &'a str) -> Option<Self> {
        let whole = whole.trim();
        let mut plain = whole;
        while let Some(attribute) = plain.strip_prefix('@') {
            let (_, rest) = attribute.split_once(')')?;
            plain = rest.trim_start();
        }
        Some(Self { whole, plain })
    }

    fn name(&self) -> &'a str {
        self.plain.split(':').next().unwrap_or_default().trim()
    }
}

/// An entry point in a text: where it begins, its attributes, its arguments, and where they end.
struct Entry<'a> {
    start: usize,
    attributes: &'a str,
    arguments: Vec<Argument<'a>>,
    end: usize,
}

impl<'a> Entry<'a> {
    fn find(text: &'a str) -> Option<Self> {
        let start = if text.starts_with("@compute") { 0 } else { text.find("\n@compute")? + 1 };
        let name = start + text[start..].find("fn main(")?;
        let open = name + "fn main(".len();
        let mut depth = 1;
        let (mut at, mut arguments) = (open, Vec::new());
        for (offset, byte) in text[open..].bytes().enumerate() {
            let here = open + offset;
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && byte == b',') {
                if !text[at..here].trim().is_empty() {
                    arguments.push(Argument::new(&text[at..here])?);
                }
                at = here + 1;
            }
            if depth == 0 {
                return Some(Self { start, attributes: &text[start..name], arguments, end: here + 1 });
            }
        }
        None
    }
}

/// A type as WGSL writes it.
fn type_text(module: &naga::Module, ty: Handle<Type>) -> Option<String> {
    let scalar = |s: Scalar| match (s.kind, s.width) {
        (ScalarKind::Float, 4) => Some("f32"),
        (ScalarKind::Float, 2) => Some("f16"),
        (ScalarKind::Uint, 4) => Some("u32"),
        (ScalarKind::Sint, 4) => Some("i32"),
        (ScalarKind::Bool, _) => Some("bool"),
        _ => None,
    };
    let count = |size: VectorSize| size as u8;
    Some(match &module.types[ty].inner {
        TypeInner::Scalar(s) => scalar(*s)?.into(),
        TypeInner::Vector { size, scalar: s } => format!("vec{}<{}>", count(*size), scalar(*s)?),
        TypeInner::Matrix { columns, rows, scalar: s } => {
            format!("mat{}x{}<{}>", count(*columns), count(*rows), scalar(*s)?)
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } => {
            format!("array<{}, {n}>", type_text(module, *base)?)
        }
        TypeInner::Struct { .. } => module.types[ty].name.clone()?,
        _ => return None,
    })
}

/// Whether values of a type cannot be assigned whole.
fn has_atomic(module: &naga::Module, ty: Handle<Type>) -> bool {
    match &module.types[ty].inner {
        TypeInner::Atomic(_) => true,
        TypeInner::Array { base, .. } => has_atomic(module, *base),
        TypeInner::Struct { members, .. } => members.iter().any(|m| has_atomic(module, m.ty)),
        _ => false,
    }
}

/// Statements that write zeros to `place`, by one invocation.
fn zeros(module: &naga::Module, ty: Handle<Type>, place: &str, depth: usize) -> Option<String> {
    if !has_atomic(module, ty) {
        return Some(format!("{place} = {}();", type_text(module, ty)?));
    }
    match &module.types[ty].inner {
        TypeInner::Atomic(scalar) => {
            let zero = if scalar.kind == ScalarKind::Sint { "0i" } else { "0u" };
            Some(format!("atomicStore(&{place}, {zero});"))
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } => {
            let at = format!("scrub_at_{depth}");
            let inner = zeros(module, *base, &format!("{place}[{at}]"), depth + 1)?;
            Some(format!("for (var {at} = 0u; {at} < {n}u; {at}++) {{ {inner} }}"))
        }
        TypeInner::Struct { members, .. } => {
            let member = |m: &naga::StructMember| {
                zeros(module, m.ty, &format!("{place}.{}", m.name.as_deref().unwrap_or_default()), depth)
            };
            members.iter().map(member).collect::<Option<Vec<_>>>().map(|all| all.join(" "))
        }
        _ => None,
    }
}

/// A statement by which the workgroup writes zeros to a variable of its memory.
fn scrub(module: &naga::Module, ty: Handle<Type>, name: &str, lane: &str, invocations: u32) -> Option<String> {
    let TypeInner::Array { base, size: ArraySize::Constant(n), .. } = &module.types[ty].inner else {
        return Some(format!("if ({lane} == 0u) {{ {} }}", zeros(module, ty, name, 0)?));
    };
    let inner = zeros(module, *base, &format!("{name}[scrub_at]"), 0)?;
    Some(format!("for (var scrub_at = {lane}; scrub_at < {n}u; scrub_at += {invocations}u) {{ {inner} }}"))
}

/// The text of a module whose kernel writes zeros to all of its workgroup memory before it ends; the text as it is if it has none.
///
/// # Errors
/// [`LinkError::Contract`] for an entry point or a type that cannot be rewritten, [`LinkError::Invalid`] if what comes out is not valid.
pub fn scrubbed(module: &Module) -> Result<String, LinkError> {
    let fault = |message: String| LinkError::Contract { variant: module.name.clone(), message };
    let variables: Vec<_> =
        reached(&module.naga, &module.info).filter(|(_, g)| g.space == AddressSpace::WorkGroup).collect();
    if variables.is_empty() {
        return Ok(module.text.clone());
    }
    let text = module.text.as_str();
    let entry = Entry::find(text).ok_or_else(|| fault("the entry point main was not found in the text".into()))?;
    let known = entry.arguments.iter().find(|a| a.whole.contains("local_invocation_index"));
    let lane = known.map_or("scrub_lane", Argument::name);
    let invocations = module.workgroup_size.iter().product();
    let mut statements = String::new();
    for (_, variable) in variables {
        let name = variable.name.as_deref().unwrap_or_default();
        let statement = scrub(&module.naga, variable.ty, name, lane, invocations)
            .ok_or_else(|| fault(format!("{name}: workgroup memory of a type that cannot be overwritten")))?;
        statements.push_str(&format!("  {statement}\n"));
    }
    let join = |parts: Vec<&str>| parts.join(", ");
    let plain = join(entry.arguments.iter().map(|a| a.plain).collect());
    let given = join(entry.arguments.iter().map(Argument::name).collect());
    let own = "@builtin(local_invocation_index) scrub_lane: u32";
    let whole = entry.arguments.iter().map(|a| a.whole).chain(known.is_none().then_some(own)).collect();
    let lines = text[entry.start..entry.end].matches('\n').count() - plain.matches('\n').count();
    let (before, after, breaks) = (&text[..entry.start], &text[entry.end..], "\n".repeat(lines));
    let attributes = entry.attributes.trim();
    let made = format!(
        "{before}{breaks}fn {INNER}({plain}){after}\n{attributes}\nfn main({}) {{\n  {INNER}({given});\n  workgroupBarrier();\n{statements}}}\n",
        join(whole)
    );
    check(module, made)
}

/// What was made must be as valid as what it was made of.
fn check(module: &Module, made: String) -> Result<String, LinkError> {
    let valid = parse(&made).and_then(|naga| validate(&naga, crate::link::capabilities()));
    match valid {
        Ok(_) => Ok(made),
        Err((span, message)) => {
            let crate::link::Origin { file, line } = module.locate(span);
            Err(LinkError::Invalid { variant: module.name.clone(), file: file.into(), line, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::link;
    use crate::{Dispatch, Source, Step};

    const KERNEL: &str = "\
struct Pair { left: f32, right: vec2<u32> }
struct Counted { count: atomic<u32>, sums: array<f32, 2> }
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
var<workgroup> tile: array<vec4<f32>, 96>;
var<workgroup> bins: array<atomic<u32>, 8>;
var<workgroup> pairs: array<array<Pair, 3>, 4>;
var<workgroup> counted: Counted;
var<workgroup> least: atomic<i32>;
var<workgroup> range: vec2<u32>;
@compute @workgroup_size(32, 2)
fn main(@builtin(workgroup_id) group: vec3<u32>,
        @builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x > 60u) { return; }
  tile[id.x] = vec4<f32>(1.0);
  atomicAdd(&bins[id.x % 8u], 1u);
  atomicAdd(&counted.count, 1u);
  atomicMin(&least, 1i);
  pairs[id.x % 4u][0].left = 2.0;
  range.x = id.x;
  y[id.x] = tile[0].x;
}
";

    fn module(text: &'static str) -> Module {
        let dispatch = Dispatch { grid: [1, 1, 1], params: vec![], windows: vec![] };
        link(&Step::plain("test", Source { path: "test.wgsl", text }, vec![dispatch])).unwrap()
    }

    #[test]
    fn every_kind_of_variable_is_overwritten() {
        let text = scrubbed(&module(KERNEL)).unwrap();
        for part in [
            "for (var scrub_at = scrub_lane; scrub_at < 96u; scrub_at += 64u) { tile[scrub_at] = vec4<f32>(); }",
            "{ atomicStore(&bins[scrub_at], 0u); }",
            "{ pairs[scrub_at] = array<Pair, 3>(); }",
            "if (scrub_lane == 0u) { atomicStore(&counted.count, 0u); counted.sums = array<f32, 2>(); }",
            "if (scrub_lane == 0u) { atomicStore(&least, 0i); }",
            "if (scrub_lane == 0u) { range = vec2<u32>(); }",
            "main_before_scrubbing(group, id);\n  workgroupBarrier();",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        // A line of the body is where it was.
        let line = |text: &str| text.lines().position(|l| l.contains("if (id.x > 60u)"));
        assert_eq!(line(&text), line(&module(KERNEL).text));
    }

    #[test]
    fn a_kernel_that_knows_its_lane_uses_it_and_one_without_memory_stays() {
        let with = KERNEL.replace("workgroup_id) group: vec3<u32>", "local_invocation_index) lane: u32");
        let text = scrubbed(&module(Box::leak(with.into_boxed_str()))).unwrap();
        assert!(text.contains("scrub_at = lane;") && !text.contains("scrub_lane"), "{text}");
        let without = module(
            "@group(0) @binding(1) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1)\nfn main() { y[0] = 1.0; }\n",
        );
        assert_eq!(scrubbed(&without).unwrap(), without.text);
    }
}
