//! `cargo xtask prove`: which variants run without runtime checks, and why the others do not. No adapter is needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Result;
use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::HALVES;
use gatefold_shaders::link::{Module, link};
use gatefold_shaders::{Kernels, Safety, prove};
use rayon::prelude::*;

use crate::inspect::{DRAWN, kinds};

/// `cargo xtask prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// Part of the names of variants; without it all that the test cases reach
    name: Option<String>,
    /// Drawn cases looked at after the planned ones
    #[arg(long, default_value_t = DRAWN)]
    cases: u64,
}

/// What was found about variants: in how many plans each was seen, and the first reason for which it is checked.
#[derive(Default)]
struct Found {
    modules: HashMap<String, Arc<Module>>,
    /// By variant name: steps seen, those proven, and why the first that is not is not.
    variants: BTreeMap<String, (usize, usize, Option<String>)>,
}

impl Found {
    /// Both. Ops share few variants.
    fn with(mut self, other: Self) -> Self {
        for (name, (seen, well, reason)) in other.variants {
            let entry = self.variants.entry(name).or_default();
            entry.0 += seen;
            entry.1 += well;
            entry.2 = entry.2.take().or(reason);
        }
        self
    }

    fn visit<O: Reference + Kernels>(&mut self, task: &Prove) {
        let part = task.name.as_deref().unwrap_or_default();
        for seed in (0..O::PLANNED + task.cases).chain(HALVES..HALVES + O::PLANNED) {
            let op = O::case(seed).op;
            for mut plan in kinds().iter().filter_map(|limits| op.plan(limits).ok()) {
                for step in plan.steps.iter_mut().filter(|s| !s.name.contains(part)) {
                    step.proven = false;
                }
                prove::settle(&mut plan, &op.operands(), |step| match self.modules.get(&step.name) {
                    Some(module) => Ok(Arc::clone(module)),
                    None => {
                        let module = Arc::new(link(step)?);
                        self.modules.insert(step.name.clone(), Arc::clone(&module));
                        Ok(module)
                    }
                });
                for (step, verdict) in plan.steps.iter().zip(&plan.safety).filter(|(s, _)| s.name.contains(part)) {
                    let entry = self.variants.entry(step.name.clone()).or_default();
                    entry.0 += 1;
                    match verdict {
                        Safety::Proven => entry.1 += 1,
                        Safety::Checked(reason) => {
                            entry.2.get_or_insert_with(|| format!("{reason} [{} {}]", op.label(), op.size_label()));
                        }
                    }
                }
            }
        }
    }
}

impl Prove {
    /// 0 if every variant that is claimed to be safe is proven to be, else 1.
    pub(crate) fn run(&self) -> Result<u8> {
        let mut visits: Vec<fn(&mut Found, &Self)> = Vec::new();
        macro_rules! all {
            ($($op:ty),*) => {$( visits.push(Found::visit::<$op>); )*};
        }
        for_each_op!(all);
        let look = |visit: fn(&mut Found, &Self)| {
            let mut found = Found::default();
            visit(&mut found, self);
            found
        };
        let found = visits.into_par_iter().with_max_len(1).map(look).reduce(Found::default, Found::with);
        let steps = found.variants.values().fold((0, 0), |(seen, well), v| (seen + v.0, well + v.1));
        let proven = found.variants.values().filter(|v| v.2.is_none()).count();
        for (name, (seen, well, reason)) in &found.variants {
            match reason {
                Some(reason) => println!("{name}: proven in {well} of {seen} plans; {reason}"),
                None if self.name.is_some() => println!("{name}: proven in all of {seen} plans"),
                None => {}
            }
        }
        let all = found.variants.len();
        #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
        let share = 100.0 * proven as f64 / all.max(1) as f64;
        println!(
            "{proven} of {all} variants are proven ({share:.1} %) in every plan, {} of {} steps",
            steps.1, steps.0
        );
        Ok(u8::from(proven < all))
    }
}
