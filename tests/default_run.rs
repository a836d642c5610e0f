//! What the default run leaves out for the sake of time is variants, not texts: every file of WGSL that the whole run reaches runs by default as
//! well, in cases with kernels of their own, and on lavapipe alone.

use std::collections::BTreeMap;

use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;
use gatefold_tests::conformance::{Options, own_seeds};
use gatefold_tests::gpu;
use gatefold_tests::profile::Profile;
use gatefold_tests::run_case::plan_case;
use gatefold_tests::stacks;

/// Files of WGSL, each with the first case that links it.
type Files = BTreeMap<&'static str, (&'static str, u64)>;

fn add_files<O: Reference + Kernels>(seeds: &[u64], files: &mut Files) {
    for &seed in seeds {
        let Ok((plan, ..)) = plan_case(&O::case(seed).op, Profile::of(seed), gpu().limits()) else { continue };
        for file in plan.steps.iter().flat_map(|s| std::iter::once(&s.kernel).chain(&s.slots)) {
            files.entry(file.path).or_insert((O::NAME, seed));
        }
    }
}

fn files(options: &Options) -> Files {
    let (mut files, all) = (Files::new(), own_seeds(options));
    macro_rules! add {
        ($($op:ty),*) => {$(
            for (_, seeds) in all.iter().filter(|(name, _)| *name == <$op as gatefold_core::Op>::NAME) {
                add_files::<$op>(seeds, &mut files);
            }
        )*};
    }
    for_each_op!(add);
    files
}

#[test]
fn every_file_runs_by_default() {
    let thinned = stacks::named("lavapipe").unwrap().thinned;
    assert!(thinned.is_some());
    let (whole, default) = (files(&Options::default()), files(&Options { thinned, ..Options::default() }));
    let missing: Vec<_> = whole.iter().filter(|(file, _)| !default.contains_key(*file)).collect();
    missing.iter().for_each(|(file, case)| println!("not run: {file}, which {case:?} would"));
    println!("{} of {} files", default.len(), whole.len());
    assert!(whole.len() > 400 && missing.is_empty(), "not run: {missing:?}");
}
