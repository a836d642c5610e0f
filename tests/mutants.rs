//! Every mutant is rejected: one test each.

use std::sync::OnceLock;

use gatefold_tests::mutants::{Proof, all};
use libtest_mimic::{Arguments, Failed, Trial};

fn proof() -> &'static Proof<'static> {
    static PROOF: OnceLock<Proof<'static>> = OnceLock::new();
    PROOF.get_or_init(|| Proof::interpreted(gatefold_tests::gpu()))
}

fn main() {
    let arguments = Arguments::from_args();
    let mutants = all();
    let count = mutants.len();
    let mut trials: Vec<Trial> = mutants
        .into_iter()
        .map(|mutant| {
            Trial::test(mutant.name, move || {
                if !proof().can_run(&mutant) {
                    println!("{}: not run: {}", mutant.name, proof().gpu().probe().matrix);
                    return Ok(());
                }
                let how = proof().run(&mutant).map_err(Failed::from)?;
                println!("{}: {} - rejected by {how}", mutant.name, mutant.fault);
                Ok(())
            })
        })
        .collect();
    trials.push(Trial::test("there_are_enough", move || {
        if count >= 150 { Ok(()) } else { Err(format!("expected at least 150 mutants, got {count}").into()) }
    }));
    libtest_mimic::run(&arguments, trials).exit();
}
