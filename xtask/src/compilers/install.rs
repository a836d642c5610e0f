//! What the compilers need: by apt Wine, a C compiler for Windows and spirv-val; by npm Dawn, which has Tint and DXC.

use anyhow::{Context, Result, bail};

use super::spirv_val::{SpirvVal, prefix};
use crate::setup::{self, Package};
use crate::{debian, shell, stacks};

const PACKAGES: [Package; 5] = [
    Package { name: "spirv-tools", what: "spirv-val, which validates SPIR-V", optional: false },
    Package { name: "wine64", what: "Wine, which runs DXC", optional: false },
    Package { name: "gcc-mingw-w64-x86-64", what: "compiles the program that calls DXC", optional: false },
    Package { name: "nodejs", what: "runs Tint", optional: false },
    Package { name: "npm", what: "installs Tint", optional: false },
];

/// Whether a package's program is there already, from wherever.
fn is_found(package: &Package) -> bool {
    match package.name {
        "nodejs" => shell::has("node"),
        other => shell::has(other),
    }
}

/// Installs what is missing.
///
/// # Errors
/// If there is no apt or npm, or they fail.
pub(super) fn install() -> Result<()> {
    let missing: Vec<_> = setup::missing(&PACKAGES).into_iter().filter(|p| !is_found(p)).collect();
    if !missing.is_empty() {
        if !shell::has("apt-get") {
            let names: Vec<_> = missing.iter().map(|p| p.name).collect();
            bail!("there is no apt-get; of Debian's packages these are missing: {}", names.join(", "));
        }
        println!("Installing compilers:");
        setup::install(&missing)?;
    }
    if SpirvVal::find().is_none_or(|s| !s.knows_matrices()) {
        newer_spirv_val().context("fetching a spirv-val that knows cooperative matrices")?;
    }
    stacks::dawn()
}

/// The Debian release whose spirv-val knows cooperative matrices.
const NEWER: &str = "trixie";

/// A later Debian's spirv-val, in a folder of this repository's `target`. An older one serves for all but matrices, so where this is no Debian it is
/// left at that.
fn newer_spirv_val() -> Result<()> {
    if !debian::can_fetch() {
        println!("  the spirv-val that knows cooperative matrices is not fetched: this is no Debian for x86-64");
        return Ok(());
    }
    debian::fetch(&prefix()?, &[NEWER], &["spirv-tools"])
}
