//! A variant's hot loop: its WGSL, then its machine code.

use anyhow::{Result, anyhow};
use gatefold_shaders::Step;

use super::density::{Figures, LoopFigures, figures};
use super::listing::{self, Count};
use super::worker::Answer;

/// The loop that issues most.
fn hottest(of: &Figures) -> Option<&LoopFigures> {
    of.loops.iter().max_by(|a, b| (a.trip.issued * a.trips).total_cmp(&(b.trip.issued * b.trips)))
}

/// Lines of a loop `function/variable` as the repository has them.
fn wgsl(step: &Step, name: &str) -> Option<String> {
    let (function, variable) = name.split_once('/')?;
    let sources = std::iter::once(&step.kernel).chain(&step.slots);
    let (begin, head) = (format!("fn {function}("), format!("for (var {variable} "));
    for source in sources {
        let lines: Vec<_> = source.text.lines().collect();
        let Some(function) = lines.iter().position(|l| l.starts_with(&begin)) else { continue };
        let Some(first) = lines[function..].iter().position(|l| l.contains(&head)) else { continue };
        let mut text = format!("{}:{}\n", source.path, function + first + 1);
        let mut depth = 0i64;
        for line in &lines[function + first..] {
            text.push_str(line);
            text.push('\n');
            let code = line.split("//").next().unwrap_or_default();
            depth += code.matches('{').count() as i64 - code.matches('}').count() as i64;
            if depth <= 0 {
                break;
            }
        }
        return Some(text);
    }
    None
}

fn classes(c: &Count) -> String {
    format!(
        "{:.0} issued: {:.0} vector ({:.0} multiply-adds, {:.0} transcendental, {:.0} of matrices), {:.0} scalar, {:.0} workgroup memory, {:.0} memory, \
         {:.0} waits and branches; {:.0} hints",
        c.issued, c.valu, c.mul_adds, c.trans, c.matrix, c.salu, c.lds, c.memory, c.sync, c.hints
    )
}

/// The program's loops, a line each.
pub(super) fn outline(of: &Figures) -> String {
    let line = |l: &LoopFigures| {
        let share = 100.0 * l.trip.issued * l.trips / of.all.issued.max(1.0);
        let indent = "  ".repeat(l.depth);
        format!(
            "{indent}{}: {:.0} trips, {:.0} needed, {share:.1} % of all; {}\n",
            l.name,
            l.trips,
            l.needed,
            classes(&l.trip)
        )
    };
    of.loops.iter().map(line).collect()
}

/// Everything about a variant's hot loop as text.
///
/// # Errors
/// If the machine code does not match the plan.
pub(super) fn text(step: &Step, workgroup: u32, answer: &Answer) -> Result<String> {
    let blocks = listing::parse(&answer.assembly, answer.subgroup)?;
    let lds = answer.statistics.iter().find(|s| s.0 == "LDS size").map_or(0, |s| s.1);
    let figures = figures(&blocks, &step.loops, workgroup, lds)?;
    let hot = hottest(&figures).ok_or_else(|| anyhow!("{}: no loops", step.name))?;
    let mut text = format!("{}\n\n{}\n", step.name, outline(&figures));
    let wgsl = wgsl(step, &hot.name).unwrap_or_else(|| "(its WGSL is not found by its name)\n".into());
    text.push_str(&format!("hot loop {}\n\n{wgsl}\n", hot.name));
    for block in &blocks[hot.blocks.0..=hot.blocks.1] {
        for line in &block.lines {
            text.push_str(&format!("    {line}\n"));
        }
        text.push('\n');
    }
    Ok(text)
}
