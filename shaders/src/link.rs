//! Link, don't preprocess: a step's prelude, its kernel file and its slot files become one text, parsed and validated.
//!
//! The prelude holds the directives `enable …;` (those that the step needs), the constants and the aliases; the files follow as they are in
//! the repository, but for loops marked `// unroll`, which are written out. Every fault is reported at the line of the original file.

use std::collections::HashMap;
use std::error::Error;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

use crate::reflect::{self, Binding, ParamField, ParamKind, WorkgroupVariable};
use crate::unroll::unroll;
use crate::{LinkError, Param, Source, Step};

/// Where a line of the linked text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Path below `shaders/src`, or `prelude`.
    pub file: &'static str,
    /// Line in that file, from 1.
    pub line: usize,
}

/// A linked step: its text, its IR and what the host must know about it.
#[derive(Debug, Clone)]
pub struct Module {
    /// Variant name, as the step's.
    pub name: String,
    /// The WGSL text that native wgpu compiles.
    pub text: String,
    /// Where every line of `text` comes from.
    pub origins: Vec<Origin>,
    /// Whether the text uses subgroup operations.
    pub subgroups: bool,
    /// The parsed module.
    pub naga: naga::Module,
    /// What validation found out about it.
    pub info: ModuleInfo,
    /// Buffers that the entry point reaches, by binding number.
    pub bindings: Vec<Binding>,
    /// Members of the struct of the uniform `params`, by offset; empty if there is none.
    pub params: Vec<ParamField>,
    /// Bytes of that struct.
    pub params_bytes: u32,
    /// Invocations per workgroup.
    pub workgroup_size: [u32; 3],
    /// Workgroup variables that the entry point reaches.
    pub workgroup_variables: Vec<WorkgroupVariable>,
    /// Bytes of workgroup memory, each variable rounded up to 16 bytes as WebGPU counts it.
    pub workgroup_bytes: u32,
}

impl Module {
    /// The text as a browser wants it: it requires `enable subgroups;` where naga rejects that line.
    pub fn text_for_browser(&self) -> String {
        if self.subgroups { format!("enable subgroups;\n{}", self.text) } else { self.text.clone() }
    }

    /// The binding of that name.
    pub fn binding(&self, name: &str) -> Option<&Binding> {
        self.bindings.iter().find(|b| b.name == name)
    }

    /// Where a span of the text comes from.
    pub(crate) fn locate(&self, span: naga::Span) -> Origin {
        locate(&self.text, &self.origins, span)
    }
}

/// Links a step: expands, parses, validates and reflects it. Pure; two steps with one name give equal modules.
///
/// # Errors
/// [`LinkError::Invalid`] with the file and line, or [`LinkError::Contract`] if the names in the plan and in the text do not agree.
pub fn link(step: &Step) -> Result<Module, LinkError> {
    let (text, origins) = assemble(step)?;
    let invalid = |span: naga::Span, message: String| {
        let Origin { file, line } = locate(&text, &origins, span);
        LinkError::Invalid { variant: step.name.clone(), file: file.into(), line, message }
    };
    let naga = parse(&text).map_err(|(span, message)| invalid(span, message))?;
    let info = validate(&naga, capabilities()).map_err(|(span, message)| invalid(span, message))?;
    let found = reflect::reflect(&naga, &info)
        .map_err(|message| LinkError::Contract { variant: step.name.clone(), message })?;
    check_params(step, &found.params)?;
    Ok(Module {
        name: step.name.clone(),
        text,
        origins,
        subgroups: step.subgroups,
        naga,
        info,
        bindings: found.bindings,
        params: found.params,
        params_bytes: found.params_bytes,
        workgroup_size: found.workgroup_size,
        workgroup_bytes: found.workgroup_variables.iter().map(|v| v.bytes.next_multiple_of(16)).sum(),
        workgroup_variables: found.workgroup_variables,
    })
}

/// What kernels may use beyond plain WGSL.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::SUBGROUP
        | Capabilities::SUBGROUP_BARRIER
        | Capabilities::COOPERATIVE_MATRIX
}

/// Parses a text. The error is where, and what is wrong.
pub(crate) fn parse(text: &str) -> Result<naga::Module, (naga::Span, String)> {
    naga::front::wgsl::parse_str(text).map_err(|e| {
        let at = e.labels().next();
        let label = at.map(|(_, l)| l).filter(|l| !l.is_empty()).map(|l| format!(": {l}")).unwrap_or_default();
        (at.map(|(span, _)| span).unwrap_or_default(), format!("{}{label}", e.message()))
    })
}

/// Validates a module. The error is where, and what is wrong.
pub(crate) fn validate(module: &naga::Module, capabilities: Capabilities) -> Result<ModuleInfo, (naga::Span, String)> {
    Validator::new(ValidationFlags::all(), capabilities).validate(module).map_err(|e| {
        // The last span is the innermost.
        let span = e.spans().last().map(|(span, _)| *span).unwrap_or_default();
        (span, chain(e.as_inner()))
    })
}

/// The linked text alone, for people: what `cargo xtask expand NAME` prints.
///
/// # Errors
/// [`LinkError::Invalid`] if a marked loop cannot be written out.
pub fn expand(step: &Step) -> Result<String, LinkError> {
    assemble(step).map(|(text, _)| text)
}

fn assemble(step: &Step) -> Result<(String, Vec<Origin>), LinkError> {
    let mut text = String::new();
    if step.f16 {
        text.push_str("enable f16;\n");
    }
    if step.matrix {
        text.push_str("enable wgpu_cooperative_matrix;\n");
    }
    for (name, value) in &step.consts {
        text.push_str(&format!("const {name}: u32 = {value}u;\n"));
    }
    let (arrays, others): (Vec<_>, Vec<_>) = step.aliases.iter().copied().partition(|(_, ty)| ty.starts_with("array<"));
    for (name, ty) in others {
        text.push_str(&format!("alias {name} = {ty};\n"));
    }
    let mut origins: Vec<_> = (1..=text.lines().count()).map(|line| Origin { file: "prelude", line }).collect();
    let consts: HashMap<&str, u32> = step.consts.iter().copied().collect();
    for &Source { path, text: file_text } in std::iter::once(&step.kernel).chain(&step.slots) {
        text.push_str(&format!("\n// ---- {path}\n"));
        origins.extend([Origin { file: path, line: 1 }, Origin { file: path, line: 1 }]);
        let unrolled = unroll(file_text, &consts).map_err(|(line, message)| LinkError::Invalid {
            variant: step.name.clone(),
            file: path.into(),
            line: line + 1,
            message,
        })?;
        text.push_str(&write_out(&unrolled.text, &arrays));
        origins.extend(unrolled.lines.iter().map(|line| Origin { file: path, line: line + 1 }));
    }
    Ok((text, origins))
}

/// Writes array types out where a file names them. To naga an alias of an array is a type of its own, and its HLSL then defines the zero of
/// equal arrays more than once, which DXC refuses.
fn write_out(text: &str, aliases: &[(&str, &str)]) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
        let ty = aliases.iter().find(|(name, _)| *name == word).map_or(word, |(_, ty)| ty);
        out.extend([before, ty]);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn locate(text: &str, origins: &[Origin], span: naga::Span) -> Origin {
    let start = span.to_range().map_or(0, |r| r.start.min(text.len()));
    let line = text.as_bytes()[..start].iter().filter(|&&b| b == b'\n').count();
    origins.get(line).cloned().unwrap_or(Origin { file: "prelude", line: 1 })
}

/// An error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        message.push_str(&format!(": {e}"));
        cause = e.source();
    }
    message
}

/// Every dispatch sets every member of `params` once, with the right type.
fn check_params(step: &Step, fields: &[ParamField]) -> Result<(), LinkError> {
    let fault = |message: String| Err(LinkError::Contract { variant: step.name.clone(), message });
    for (at, dispatch) in step.dispatches.iter().enumerate() {
        for field in fields {
            let given: Vec<_> = dispatch.params.iter().filter(|(name, _)| *name == field.name).collect();
            let [(_, value)] = given[..] else {
                return fault(format!("dispatch {at} sets params.{} {} times, expected once", field.name, given.len()));
            };
            let kind = match value {
                Param::U32(_) => ParamKind::U32,
                Param::I32(_) => ParamKind::I32,
                Param::F32(_) => ParamKind::F32,
            };
            if kind != field.kind {
                return fault(format!("dispatch {at} sets params.{} as {kind}, expected {}", field.name, field.kind));
            }
        }
        if let Some((name, _)) = dispatch.params.iter().find(|(name, _)| !fields.iter().any(|f| f.name == *name)) {
            return fault(format!("dispatch {at} sets params.{name}, which the kernel does not have"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dispatch;

    const KERNEL: &str = "struct Params {\n  count: u32,\n}\n@group(0) @binding(0) var<uniform> params: Params;\n\
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(LANES)\n\
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n  if (id.x < params.count) {\n    y[id.x] = value(1.0);\n  }\n}\n";

    fn step(kernel: &'static str, slot: &'static str) -> Step {
        let params = vec![("count", Param::U32(1))];
        Step {
            slots: vec![Source { path: "test/slot.wgsl", text: slot }],
            consts: vec![("LANES", 64)],
            aliases: vec![("Elem", "f32")],
            proven: false,
            ..Step::plain(
                "test.broken",
                Source { path: "test/kernel.wgsl", text: kernel },
                vec![Dispatch { grid: [1, 1, 1], params, windows: vec![] }],
            )
        }
    }

    #[test]
    fn links_and_reflects() {
        let module = link(&step(KERNEL, "fn value(x: f32) -> Elem {\n  return x;\n}\n")).unwrap();
        assert_eq!(module.workgroup_size, [64, 1, 1]);
        assert_eq!(module.bindings.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["params", "y"]);
        assert_eq!((module.params.len(), module.params_bytes), (1, 4));
        assert_eq!(module.text, expand(&step(KERNEL, "fn value(x: f32) -> Elem {\n  return x;\n}\n")).unwrap());
    }

    fn place(error: LinkError) -> (String, usize, String) {
        match error {
            LinkError::Invalid { file, line, message, .. } => (file, line, message),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_slot_that_does_not_parse_is_found() {
        let (file, line, _) =
            place(link(&step(KERNEL, "// header\nfn value(x: f32) -> f32 {\n  return x +;\n}\n")).unwrap_err());
        assert_eq!((file.as_str(), line), ("test/slot.wgsl", 3));
    }

    #[test]
    fn a_slot_that_does_not_validate_is_found() {
        let slot = "// header\nfn value(x: f32) -> f32 {\n  let n = 1u;\n  return n;\n}\n";
        let (file, line, message) = place(link(&step(KERNEL, slot)).unwrap_err());
        assert_eq!(file, "test/slot.wgsl");
        assert!((2..=4).contains(&line), "line {line}: {message}");
    }

    #[test]
    fn an_absent_slot_is_found_at_its_use() {
        let (file, line, message) = place(link(&step(KERNEL, "\n")).unwrap_err());
        assert_eq!((file.as_str(), line), ("test/kernel.wgsl", 9));
        assert!(message.contains("value"), "{message}");
    }

    #[test]
    fn params_and_dispatch_must_agree() {
        let slot = "fn value(x: f32) -> f32 { return x; }\n";
        let mut wrong = step(KERNEL, slot);
        wrong.dispatches[0].params = vec![("count", Param::F32(1.0))];
        assert!(link(&wrong).unwrap_err().to_string().contains("as f32, expected u32"));
        wrong.dispatches[0].params = vec![];
        assert!(link(&wrong).unwrap_err().to_string().contains("params.count 0 times"));
        wrong.dispatches[0].params = vec![("count", Param::U32(1)), ("rows", Param::U32(1))];
        assert!(link(&wrong).unwrap_err().to_string().contains("params.rows"));
    }

    #[test]
    fn equal_arrays_are_one_type() {
        let slot =
            "fn value(x: f32) -> f32 { var a: First; var b: Second; a[0] = x; b[1] = a[0]; return b[1]; } // First\n";
        let mut named = step(KERNEL, slot);
        named.aliases.extend([("First", "array<f32, 2>"), ("Second", "array<f32, 2>")]);
        let module = link(&named).unwrap();
        let arrays =
            module.naga.types.iter().filter(|(_, ty)| {
                matches!(ty.inner, naga::TypeInner::Array { size: naga::ArraySize::Constant(_), .. })
            });
        assert_eq!(arrays.count(), 1, "{}", module.text);
        assert_eq!(module.text.lines().count(), module.origins.len());
        assert_eq!(write_out("FirstBlock.First_x First", &named.aliases), "FirstBlock.First_x array<f32, 2>");
    }

    #[test]
    fn only_the_browser_text_enables_subgroups() {
        let mut with = step(KERNEL, "fn value(x: f32) -> f32 { return subgroupAdd(x); }\n");
        with.subgroups = true;
        let module = link(&with).unwrap();
        assert!(!module.text.contains("enable"));
        assert!(module.text_for_browser().starts_with("enable subgroups;\n"));
    }
}
