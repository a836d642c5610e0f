//! Fuzz targets that need no device. Each is a plain function of bytes: `cargo xtask fuzz` lets libFuzzer find bytes, the tests of this package
//! replay those that are kept in `corpus/`.
//!
//! A target panics where something is wrong; so does what it calls. Bytes are read by [`draw::Draw`], which never runs out (it then gives zeros),
//! so any bytes are a case. Specs of all ops are made in one way: a spec of the reference's own cases as JSON, some of it replaced ([`specs`]).

#![forbid(unsafe_code)]

pub mod draw;
pub mod limits;
pub mod ops;
pub mod plans;
pub mod specs;
pub mod values;

/// Runs a target on every input that is kept for it, without libFuzzer: what was once wrong stays right.
///
/// # Panics
/// If the target does, or hardly any inputs are kept.
pub fn replay(name: &str, target: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "only {} inputs", paths.len());
    for path in paths {
        // the last line names the input that fails
        println!("{}", path.display());
        target(&std::fs::read(path).unwrap());
    }
}

mod contents;
mod planner;
mod precision;
mod shapes;

pub use contents::contents;
pub use planner::planner;
pub use precision::precision;
pub use shapes::shapes;
