//! WGSL files, embedded verbatim; a user's own text stands for one below `custom/` (`attention/custom.rs`).

/// A WGSL file: its path below `shaders/src` and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// Path below `shaders/src`, for error messages: `attention/forward.wgsl`.
    pub path: &'static str,
    /// The text, as in the repository.
    pub text: &'static str,
}

/// Embeds a WGSL file by its path below `shaders/src`.
macro_rules! wgsl {
    ($path:expr) => {
        $crate::Source { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/", $path)) }
    };
}
pub(crate) use wgsl;
