//! One build: `cargo xtask` and `cargo test --workspace` ask the same features of every package. If they do not, the harness is compiled twice, which
//! takes minutes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Packages that one of the two builds with other features.
pub(super) fn faults() -> Result<Vec<String>> {
    let program = features(&["--package", "xtask", "--edges", "normal,build"])?;
    let tests = features(&["--workspace", "--edges", "normal,build,dev"])?;
    Ok(differences(&program, &tests))
}

type Features = BTreeMap<String, BTreeSet<String>>;

/// Packages and the features that they are built with.
fn features(args: &[&str]) -> Result<Features> {
    let common = ["tree", "--locked", "--prefix", "none", "--format", "{p}|{f}"];
    let output = shell::cargo().args(common).args(args).output().context("starting cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(tree: &str) -> Features {
    let mut all = Features::new();
    for (package, features) in tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')) {
        all.entry(package.to_string()).or_default().insert(features.to_string());
    }
    all
}

fn differences(program: &Features, tests: &Features) -> Vec<String> {
    let other = |(package, features): (&String, &BTreeSet<String>)| {
        let there = tests.get(package).filter(|there| *there != features)?;
        Some(format!(
            "{package}: `cargo xtask` builds it with {features:?}, `cargo test --workspace` with {there:?}: expected the same, so that both share one build"
        ))
    };
    program.iter().filter_map(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_other_features_is_named() {
        let program = parse("rayon v1|default\neither v1|\neither v1| (*)\n");
        assert_eq!(differences(&program, &program), Vec::<String>::new());
        let found = differences(&program, &parse("either v1|std,use_std\nrayon v1|default\nproptest v1|std\n"));
        assert!(found.len() == 1 && found[0].starts_with("either v1: "), "{found:?}");
    }
}
