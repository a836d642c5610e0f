//! Words and names that have no place here.

use super::strip::code_only;
use super::{Checked, may_be_unsafe};

/// Marks of unfinished work. Spelt in halves, so that this file passes.
const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];

/// Paths of somebody's own machine.
const PRIVATE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/")];

/// File names that say nothing.
const EMPTY_NAMES: [&str; 5] = ["base", "utils", "util", "helpers", "misc"];

/// Faults in words and names.
pub(super) fn faults(files: &[Checked]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let stem = file.path.rsplit('/').next().and_then(|n| n.split('.').next()).unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            faults.push(format!("{}: a file's name says what is in it", file.path));
        }
        for (at, line) in file.text.lines().enumerate() {
            for word in UNFINISHED.iter().chain(&PRIVATE).filter(|w| line.contains(**w)) {
                faults.push(format!("{}:{}: {word}", file.path, at + 1));
            }
            if line.ends_with([' ', '\t']) && !file.is(".md") {
                faults.push(format!("{}:{}: space at the end of the line", file.path, at + 1));
            }
        }
        faults.extend(unsafe_code(file));
        faults.extend(branches(file));
        if !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
            faults.push(format!("{}: expected one line break at the end", file.path));
        }
    }
    faults
}

/// Unsafe code where none may be.
fn unsafe_code(file: &Checked) -> Vec<String> {
    if !file.is(".rs") || may_be_unsafe(&file.path) {
        return Vec::new();
    }
    let code = code_only(&file.text);
    let has_word = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let lines = code.lines().enumerate().filter(|(_, line)| has_word(line));
    lines
        .map(|(at, _)| format!("{}:{}: unsafe code belongs in wgpu-backend or isa/vulkan.rs", file.path, at + 1))
        .collect()
}

/// Short-circuits in kernels. naga lowers each to a branch: a tile has dozens, and some drivers' compilers take exponential time over them.
fn branches(file: &Checked) -> Vec<String> {
    if !file.is(".wgsl") {
        return Vec::new();
    }
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let lines = file.text.lines().enumerate().filter(|(_, l)| ["&&", "||"].iter().any(|op| code(l).contains(op)));
    let fault = |at: usize| format!("{}:{}: && and || are branches, write (a) & (b) and (a) | (b)", file.path, at + 1);
    lines.map(|(at, _)| fault(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        faults(&[Checked { path: path.into(), text: text.into() }]).len()
    }

    #[test]
    fn words_are_found() {
        assert_eq!(count("a.rs", "fn a() {}\n"), 0);
        assert_eq!(count("a.rs", concat!("// TO", "DO\n")), 1);
        assert_eq!(count("src/utils.rs", "\n"), 1);
        assert_eq!(count("a.rs", "a"), 1);
        assert_eq!(count("a.rs", concat!("uns", "afe { }\n")), 1);
        assert_eq!(count("xtask/src/isa/mod.rs", concat!("uns", "afe { }\n")), 1);
        assert_eq!(count("xtask/src/isa/vulkan.rs", concat!("uns", "afe { }\n")), 0);
        assert_eq!(count("a.wgsl", "let c = a && b; // and\nlet d = (a) & (b); // not &&\n"), 1);
    }
}
