//! The inputs that are kept for each target, without libFuzzer.

use gatefold_fuzz::replay;

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
