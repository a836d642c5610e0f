//! The order of the rooms, from `cargo metadata`: core → cpu-ref and core → shaders → wgpu-backend, and neither side sees the other.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{peers, shell};

/// A package: those of ours that it may depend on, and others that it may not.
struct Rule {
    package: &'static str,
    may: &'static [&'static str],
    may_for_tests: &'static [&'static str],
    never: &'static [&'static str],
}

const CORE: &str = "gatefold-core";
const CPU_REF: &str = "gatefold-cpu-ref";
const SANITIZER: &str = "gatefold-sanitizer";
const SHADERS: &str = "gatefold-shaders";
const BACKEND: &str = "gatefold-wgpu";
const TESTS: &str = "gatefold-tests";
const FUZZ: &str = "gatefold-fuzz";

const RULES: [Rule; 11] = [
    Rule { package: CORE, may: &[], may_for_tests: &[], never: &["wgpu", "naga", "anyhow"] },
    Rule { package: CPU_REF, may: &[CORE], may_for_tests: &[], never: &["wgpu", "naga", "anyhow"] },
    Rule { package: SANITIZER, may: &[], may_for_tests: &[], never: &["wgpu", "anyhow"] },
    Rule { package: SHADERS, may: &[CORE], may_for_tests: &[], never: &["wgpu", "anyhow"] },
    Rule { package: BACKEND, may: &[CORE, SHADERS], may_for_tests: &[CPU_REF], never: &["anyhow"] },
    Rule { package: TESTS, may: &[CORE, CPU_REF, SANITIZER, SHADERS, BACKEND], may_for_tests: &[], never: &[] },
    Rule {
        package: "gatefold-benches",
        may: &[CORE, CPU_REF, SHADERS, BACKEND, TESTS],
        may_for_tests: &[],
        never: &[],
    },
    Rule { package: FUZZ, may: &[CORE, CPU_REF, SHADERS], may_for_tests: &[], never: &["wgpu", "anyhow"] },
    Rule {
        package: "gatefold-fuzz-device",
        may: &[CORE, CPU_REF, SHADERS, BACKEND, TESTS, FUZZ],
        may_for_tests: &[],
        never: &[],
    },
    Rule { package: "gatefold-peers", may: &[CORE, CPU_REF, SHADERS, BACKEND, TESTS], may_for_tests: &[], never: &[] },
    Rule {
        package: "xtask",
        may: &[CORE, CPU_REF, SANITIZER, SHADERS, BACKEND, TESTS],
        may_for_tests: &[],
        never: &[],
    },
];

/// Dependencies that break the order.
pub(super) fn faults() -> Result<Vec<String>> {
    let packages = [packages("Cargo.toml")?, packages(peers::MANIFEST)?].concat();
    Ok(of_packages(&packages))
}

/// The packages of a workspace.
fn packages(manifest: &str) -> Result<Vec<Value>> {
    let options = ["metadata", "--no-deps", "--format-version", "1", "--locked", "--manifest-path", manifest];
    let out = shell::cargo().args(options).output().context("starting cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata of {manifest}: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&out.stdout).context("reading cargo metadata")?;
    Ok(metadata["packages"].as_array().cloned().unwrap_or_default())
}

fn of_packages(packages: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        match RULES.iter().find(|r| r.package == name) {
            None => faults.push(format!("{name}: not in the list of rooms (xtask/src/tidy/order.rs)")),
            Some(rule) => faults.extend(of_package(rule, package)),
        }
    }
    for rule in RULES.iter().filter(|r| !packages.iter().any(|p| p["name"] == r.package)) {
        faults.push(format!("{}: expected a package of this name", rule.package));
    }
    faults
}

fn of_package(rule: &Rule, package: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
        let name = dependency["name"].as_str().unwrap_or_default();
        let for_tests = dependency["kind"] == "dev";
        let ours = RULES.iter().any(|r| r.package == name);
        let allowed = rule.may.contains(&name) || (for_tests && rule.may_for_tests.contains(&name));
        if (ours && !allowed) || (!for_tests && rule.never.contains(&name)) {
            faults.push(format!("{}: must not depend on {name}; allowed: {}", rule.package, rule.may.join(", ")));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checker_and_checked_never_meet() {
        let package =
            |name: &str, on: &str| serde_json::json!({"name": name, "dependencies": [{"name": on, "kind": null}]});
        let rule = |name: &str| RULES.iter().find(|r| r.package == name).unwrap();
        for (name, on) in
            [(CPU_REF, SHADERS), (SHADERS, CPU_REF), (CORE, CPU_REF), (SHADERS, "wgpu"), (BACKEND, CPU_REF)]
        {
            assert_eq!(of_package(rule(name), &package(name, on)).len(), 1, "{name} on {on}");
        }
        assert!(of_package(rule(CPU_REF), &package(CPU_REF, CORE)).is_empty());
    }

    #[test]
    fn the_workspace_keeps_the_order() {
        assert_eq!(faults().unwrap(), Vec::<String>::new());
    }
}
