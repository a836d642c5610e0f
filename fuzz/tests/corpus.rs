//! The inputs that are kept for each target, without libFuzzer: what was once wrong stays right.

use std::path::Path;

/// Runs a target on every input that is kept for it.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "only {} inputs", paths.len());
    for path in paths {
        // the last line names the input that fails
        println!("{}", path.display());
        target(&std::fs::read(path).unwrap());
    }
}

#[test]
fn shapes() {
    replay("shapes", gatefold_fuzz::shapes);
}

#[test]
fn planner() {
    replay("planner", gatefold_fuzz::planner);
}

#[test]
fn contents() {
    replay("contents", gatefold_fuzz::contents);
}

#[test]
fn precision() {
    replay("precision", gatefold_fuzz::precision);
}
