//! `cargo xtask sanitize`: kernels in the interpreter of `gatefold-sanitizer`, ours against the reference or anyone's by itself.

pub(crate) mod cases;
mod file;
mod ops;
mod planted;

use std::path::PathBuf;

use anyhow::Result;

/// `cargo xtask sanitize`.
#[derive(Debug, clap::Args)]
pub(crate) struct Sanitize {
    /// A WGSL file of yours; every op of Gatefold without
    file: Option<PathBuf>,
    /// How the file is dispatched (JSON); the file beside it that ends in .json if not given
    #[arg(long, requires = "file")]
    dispatch: Option<PathBuf>,
    /// Only the op of this name
    #[arg(long, conflicts_with = "file")]
    op: Option<String>,
    /// Only the case of this seed, as findings name it, with every profile and every adversary; may be given several times
    #[arg(long, requires = "op", conflicts_with = "full")]
    seed: Vec<u64>,
    /// Every variant that a case of moderate size reaches, and every adversary
    #[arg(long, conflicts_with = "file")]
    full: bool,
    /// Print every plan
    #[arg(long, conflicts_with = "file")]
    verbose: bool,
}

impl Sanitize {
    pub(crate) fn run(&self) -> Result<u8> {
        match &self.file {
            Some(file) => file::run(file, self.dispatch.as_deref()),
            None => {
                let (op, seeds) = (self.op.clone(), self.seed.clone());
                ops::run(&ops::Wanted { op, seeds, full: self.full, verbose: self.verbose })
            }
        }
    }
}
