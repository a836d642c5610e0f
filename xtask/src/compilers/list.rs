//! Which variants there are.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_core::for_each_op;
use gatefold_shaders::{Kernels, Step};

use crate::inspect;

// The specs and kinds of adapter that the kernels' own tests go through.
#[path = "../../../shaders/tests/specs/mod.rs"]
mod specs;

use specs::Specs;

fn add<O: Kernels + Specs>(found: &mut BTreeMap<String, Step>) {
    for op in O::specs() {
        // What a planner refuses has no variant.
        for plan in specs::profiles().iter().filter_map(|(_, limits)| op.plan(limits).ok()) {
            for step in plan.steps {
                found.entry(step.name.clone()).or_insert(step);
            }
        }
    }
}

/// Every variant that the tests reach, by name: by the specs of the kernels' tests and by the cases of the reference, on every kind of adapter.
pub(super) fn every() -> BTreeMap<String, Step> {
    let by_specs = || {
        let mut found = BTreeMap::new();
        macro_rules! all {
            ($($op:ty),*) => {$( add::<$op>(&mut found); )*};
        }
        for_each_op!(all);
        found
    };
    std::thread::scope(|scope| {
        let beside = scope.spawn(by_specs);
        let mut found = inspect::variants();
        // a panic there is one here, with its message shown
        found.extend(beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        found
    })
}

/// FNV-1a: the same on every machine, unlike the standard library's hashes.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// One in `of` variants, chosen by name, and of every kernel at least one: what the suite has time for.
pub(super) fn share<'a>(names: impl Iterator<Item = &'a String>, of: u64) -> BTreeSet<String> {
    let mut kernels: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    let mut chosen = BTreeSet::new();
    for name in names {
        let (stem, h) = (name.split('.').next().unwrap_or_default(), hash(name));
        let first = kernels.entry(stem).or_insert((h, name));
        *first = (*first).min((h, name));
        if h.is_multiple_of(of) {
            chosen.insert(name.clone());
        }
    }
    chosen.extend(kernels.into_values().map(|(_, name)| name.to_string()));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_every_kernel() {
        let names: Vec<_> = (0..1000).map(|i| format!("kernel{}.variant{i}", i % 40)).collect();
        let chosen = share(names.iter(), 20);
        assert!((50..120).contains(&chosen.len()), "{}", chosen.len());
        let kernels: BTreeSet<_> = chosen.iter().map(|n| n.split('.').next()).collect();
        assert_eq!(kernels.len(), 40);
        assert_eq!(share(names.iter(), 1).len(), 1000);
        assert_eq!(share(names.iter().rev(), 20), chosen);
    }
}
