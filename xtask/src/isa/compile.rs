//! From cases to rows: SPIR-V once, machine code per family in parallel, figures per case.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use gatefold_shaders::reflect::BindingKind;

use super::cases::Case;
use super::density::figures;
use super::driver::{Family, Radv};
use super::listing::{self, Block, Count};
use super::report::{Report, Resources, Row, version};
use super::spirv::{self, BOTH, Checks};
use super::worker::{Answer, Greeting, Remote, Request, Slot};

/// A variant to compile.
pub(super) struct Shader {
    /// Variant name.
    pub(super) name: String,
    pub(super) checks: Checks,
    /// Whether it uses matrix units.
    matrix: bool,
    request: Request,
    /// Invocations of a workgroup.
    pub(super) workgroup: u32,
}

/// The variants of these cases, each once, with naga's checks and without.
///
/// # Errors
/// If one does not link.
pub(super) fn shaders(cases: &[Case]) -> Result<Vec<Shader>> {
    let mut all: Vec<Shader> = Vec::new();
    for case in cases {
        let step = &case.step;
        if all.iter().any(|s| s.name == step.name) {
            continue;
        }
        for checks in BOTH {
            let (module, spirv) = spirv::compile(step, checks)?;
            let slot = |b: &gatefold_shaders::reflect::Binding| Slot {
                at: b.binding,
                uniform: b.kind == BindingKind::Uniform,
            };
            let bindings = module.bindings.iter().map(slot).collect();
            let workgroup = module.workgroup_size.iter().product();
            let request = Request { spirv, bindings };
            all.push(Shader { name: step.name.clone(), checks, matrix: step.matrix, request, workgroup });
        }
    }
    Ok(all)
}

/// A family's worker with the newest driver that has a null device of it.
fn open(drivers: &[Radv], family: Family) -> Result<(Remote, Greeting)> {
    let mut best: Option<(Remote, Greeting)> = None;
    let mut why = Vec::new();
    for radv in drivers {
        match Remote::start(radv, family) {
            Ok(opened) if best.as_ref().is_none_or(|b| version(&b.1.driver) < version(&opened.1.driver)) => {
                best = Some(opened);
            }
            Ok(_) => {}
            Err(e) => why.push(format!("{}: {e:#}", radv.icd().display())),
        }
    }
    best.ok_or_else(|| anyhow!("{}", why.join("\n")))
}

/// What the driver makes of the shaders for one family, in their order; and what it says about itself.
pub(super) fn answers(
    drivers: &[Radv],
    family: Family,
    shaders: &[&Shader],
) -> Result<(Greeting, Vec<Result<Answer>>)> {
    let (mut remote, greeting) = open(drivers, family)?;
    let mut answer = |shader: &Shader| {
        if shader.matrix && !greeting.matrix {
            bail!("{} has no matrix units for {}", greeting.driver, family.name());
        }
        remote.compile(&shader.request)
    };
    let all = shaders.iter().map(|s| answer(s)).collect();
    Ok((greeting, all))
}

/// The driver counts instructions, too; whether or not it counts hints depends on its version.
fn understood(blocks: &[Block], answer: &Answer) -> Result<()> {
    let Some((_, says)) = answer.statistics.iter().find(|s| s.0 == "Instructions") else { return Ok(()) };
    let found = blocks.iter().fold(Count::default(), |a, b| a + b.count);
    let says = *says as f64;
    if says < found.issued || says > found.issued + found.hints {
        bail!("the driver counts {says} instructions, its disassembly has {} and {} hints", found.issued, found.hints);
    }
    Ok(())
}

/// The figures of a case.
fn row(case: &Case, shader: &Shader, family: Family, answer: &Answer) -> Result<Row> {
    let blocks = listing::parse(&answer.assembly, answer.subgroup)?;
    understood(&blocks, answer)?;
    let resources = Resources::of(&answer.statistics, answer.subgroup);
    let figures = figures(&blocks, &case.step.loops, shader.workgroup, resources.lds)?;
    let groups = case.step.dispatches.iter().flat_map(|d| d.grid.iter().copied().reduce(|a, b| a * b)).map(f64::from);
    let invocations = groups.sum::<f64>() * f64::from(shader.workgroup);
    let reads = figures.all.loaded * invocations / case.spec.inputs.max(1.0);
    Ok(Row {
        reads,
        intensity: case.spec.intensity,
        spec: case.spec.text.clone(),
        kernel: case.kernel.clone(),
        variant: case.step.name.clone(),
        family,
        checks: shader.checks,
        resources,
        figures,
    })
}

/// Compiles all cases for these families, a process each.
///
/// # Errors
/// If no driver has a null device of a family. What one shader does wrong is in the report.
pub(super) fn report(drivers: &[Radv], families: &[Family], cases: &[Case]) -> Result<Report> {
    let mut jobs = Vec::new();
    for &family in families {
        let mine: Vec<_> = cases.iter().filter(|c| c.wave == family.wave()).cloned().collect();
        jobs.push((family, shaders(&mine)?, mine));
    }
    let found: Vec<_> = std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for (family, shaders, _) in &jobs {
            let all: Vec<&Shader> = shaders.iter().collect();
            workers.push(scope.spawn(move || answers(drivers, *family, &all)));
        }
        workers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))).collect()
    });
    let mut report = Report::new(String::new());
    for ((family, shaders, cases), result) in jobs.iter().zip(found) {
        let family = *family;
        let (greeting, answers) = result?;
        report.driver = greeting.driver;
        for case in cases.iter().filter(|c| greeting.matrix || !c.step.matrix) {
            let mine = shaders.iter().zip(&answers).filter(|(s, _)| s.name == case.step.name);
            for (shader, answer) in mine {
                let made = answer.as_ref().map_err(|e| anyhow!("{e:#}")).and_then(|a| row(case, shader, family, a));
                match made {
                    Ok(row) => report.rows.push(row),
                    Err(e) => report.failures.push(format!(
                        "{} | {} | {} | {:?}: {e:#}",
                        case.spec,
                        case.step.name,
                        family.name(),
                        shader.checks
                    )),
                }
            }
        }
    }
    Ok(report)
}

/// Keeps the driver's whole disassembly of every variant in a folder, for people.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn keep(answer: &Answer, path: &Path) -> Result<()> {
    std::fs::write(path, &answer.assembly).with_context(|| format!("writing {}", path.display()))
}
