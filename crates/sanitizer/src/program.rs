//! A compiled kernel, and what keeps one from being compiled or run.

use naga::Span;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

use crate::code::{Code, Kind};
use crate::compile::compile;

/// Why a kernel cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text does not parse, or does not validate.
    #[error("line {line}: {message}")]
    Invalid {
        /// Line, from 1; 0 where there is none.
        line: u32,
        /// What the parser or the validator says.
        message: String,
    },
    /// A part of WGSL that this interpreter does not know.
    #[error("line {line}: not supported: {what}")]
    Unsupported {
        /// What it is.
        what: String,
        /// Line, from 1; 0 where there is none.
        line: usize,
    },
    /// No compute entry point of that name.
    #[error("expected a compute entry point {wanted}, found {found}")]
    Entry {
        /// The name that was asked for.
        wanted: String,
        /// Those there are.
        found: String,
    },
    /// A binding without a buffer, or a buffer without a binding.
    #[error("{name}: {message}")]
    Binding {
        /// Name of the variable.
        name: String,
        /// What was expected, and what came.
        message: String,
    },
    /// A launch that cannot be.
    #[error("{0}")]
    Launch(String),
}

/// Type of the scalars of a buffer, by its first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `f32`.
    F32,
    /// `f16`.
    F16,
    /// `i32`.
    I32,
    /// `u32`.
    U32,
}

/// A buffer that a kernel binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// WGSL name.
    pub name: String,
    /// `@group`.
    pub group: u32,
    /// `@binding`.
    pub binding: u32,
    /// Whether the kernel may write it.
    pub writable: bool,
    /// Whether it is a uniform buffer.
    pub uniform: bool,
    /// Least bytes.
    pub least_bytes: u32,
    /// Bytes of an element, if its length is that of the buffer; else 0.
    pub stride: u32,
    /// Its scalars.
    pub element: Element,
}

/// A compiled kernel.
#[derive(Debug, Clone)]
pub struct Program {
    pub(crate) code: Code,
    /// Line and column of each operation.
    pub(crate) lines: Vec<(u32, u32)>,
}

fn line_of(text: &str, span: Span) -> u32 {
    span.to_range().map_or(0, |_| span.location(text).line_number)
}

impl Program {
    /// Compiles the only compute entry point of a text.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Unsupported`], or [`Error::Entry`] if there is not exactly one.
    pub fn from_wgsl(text: &str) -> Result<Self, Error> {
        Self::of_entry(text, None, &[])
    }

    /// Compiles an entry point of a text (the only one, if none is named), with values for overrides by name or id.
    ///
    /// # Errors
    /// As [`from_wgsl`](Self::from_wgsl).
    pub fn of_entry(text: &str, entry: Option<&str>, constants: &[(String, f64)]) -> Result<Self, Error> {
        let module = naga::front::wgsl::parse_str(text).map_err(|e| {
            let line = e.labels().next().map_or(0, |(span, _)| line_of(text, span));
            let label = e.labels().next().map(|(_, l)| l).filter(|l| !l.is_empty());
            Error::Invalid { line, message: label.map_or(e.message().into(), |l| format!("{}: {l}", e.message())) }
        })?;
        let info = validate(&module, text)?;
        let constants = constants.iter().cloned().collect();
        let (module, info) = process_overrides(&module, &info, None, &constants)
            .map_err(|e| Error::Invalid { line: 0, message: e.to_string() })?;
        Self::from_module(&module, &info, text, entry)
    }

    /// Compiles an entry point of a module that has been validated and has no overrides. `text` is what its spans are of.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::Entry`].
    pub fn from_module(
        module: &naga::Module,
        info: &ModuleInfo,
        text: &str,
        entry: Option<&str>,
    ) -> Result<Self, Error> {
        let points: Vec<_> = module
            .entry_points
            .iter()
            .enumerate()
            .filter(|(_, p)| p.stage == naga::ShaderStage::Compute && entry.is_none_or(|name| p.name == name))
            .collect();
        let [(index, _)] = points[..] else {
            let names: Vec<_> = module.entry_points.iter().map(|p| p.name.as_str()).collect();
            let wanted = entry.unwrap_or("(the only one)").into();
            return Err(Error::Entry { wanted, found: names.join(", ") });
        };
        let code = compile(module, info, index).map_err(|error| match error {
            Error::Unsupported { what, line } => {
                let before = text.as_bytes().get(..line).unwrap_or(&[]);
                Error::Unsupported { what, line: before.iter().filter(|&&b| b == b'\n').count() + 1 }
            }
            other => other,
        })?;
        let lines = Lines::of(text);
        let lines = code.spans.iter().map(|span| lines.place(*span)).collect();
        Ok(Self { code, lines })
    }

    /// The buffers that the kernel binds.
    pub fn bindings(&self) -> Vec<Binding> {
        let binding = |b: &crate::code::BufferDecl| Binding {
            name: b.name.clone(),
            group: b.group,
            binding: b.binding,
            writable: b.writable,
            uniform: b.uniform,
            least_bytes: b.least,
            stride: b.stride,
            element: match b.kind {
                Kind::F32 => Element::F32,
                Kind::F16 => Element::F16,
                Kind::I32 => Element::I32,
                Kind::U32 | Kind::Bool => Element::U32,
            },
        };
        self.code.buffers.iter().map(binding).collect()
    }

    /// Invocations of a workgroup along x, y and z.
    pub fn workgroup_size(&self) -> [u32; 3] {
        self.code.workgroup_size
    }

    /// Whether it uses operations of subgroups.
    pub fn has_subgroups(&self) -> bool {
        self.code.has_subgroups
    }
}

/// Where lines begin.
struct Lines(Vec<u32>);

impl Lines {
    fn of(text: &str) -> Self {
        let begins = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(begins).map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect())
    }

    /// Line and column of a span's begin, from 1.
    fn place(&self, span: Span) -> (u32, u32) {
        let Some(range) = span.to_range() else { return (0, 0) };
        let at = u32::try_from(range.start).unwrap_or(u32::MAX);
        let line = self.0.partition_point(|&begin| begin <= at);
        let column = at - self.0[line.saturating_sub(1)] + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), column)
    }
}

fn validate(module: &naga::Module, text: &str) -> Result<ModuleInfo, Error> {
    Validator::new(ValidationFlags::all(), Capabilities::all()).validate(module).map_err(|e| {
        let line = e.spans().last().map_or(0, |(span, _)| line_of(text, *span));
        let (mut message, mut cause) = (e.as_inner().to_string(), std::error::Error::source(e.as_inner()));
        while let Some(inner) = cause {
            message.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        Error::Invalid { line, message }
    })
}
