//! Pairwise coverage of attention's slots by the generated cases that have kernels of their own (all of them: `conformance --thin 1`).

use gatefold_core::{Attention, AttentionBackward};
use gatefold_cpu_ref::Reference;
use gatefold_tests::conformance::{DRAWN, Options, count};
use gatefold_tests::pairs::{Met, Value, values};
use gatefold_tests::profile::Profile;

/// The values that meet in the cases of a default run.
fn met<O: Reference>(values: impl Fn(&O) -> Vec<Value>) -> Met {
    let mut met = Met::default();
    // varied ones have the specs of these
    let cases = count(&Options { op: Some(O::NAME.into()), cases: Some(DRAWN), ..Options::default() });
    for seed in 0..cases {
        let profile = ("limits", Profile::of(seed).to_string());
        met.add(&[values(&O::case(seed).op), vec![profile]].concat());
    }
    let missing = met.missing();
    println!("{}: {} pairs of values met in {cases} cases, {} did not", O::NAME, met.met(), missing.len());
    missing.iter().for_each(|[a, b]| println!("  {} {}, {} {}", a.0, a.1, b.0, b.1));
    met
}

/// What no spec can have both of does not meet: a sink without softmax, pages of what is packed.
#[test]
fn values_of_slots_meet() {
    let forward = met::<Attention>(values);
    assert!(forward.met() >= FORWARD, "{}", forward.met());
    let backward = met::<AttentionBackward>(|b| {
        let more = [("d_lse", b.d_lse.to_string()), ("d_bias", b.d_bias.to_string())];
        [values(&b.forward), more.to_vec()].concat()
    });
    assert!(backward.met() >= BACKWARD, "{}", backward.met());
}

/// What is met today: a change of the draws may meet more.
const FORWARD: usize = 9_050;
const BACKWARD: usize = 9_130;
