//! Anyone's shader, dispatched as a JSON file beside it says.

use std::path::Path;

use anyhow::{Context, Result, bail};
use gatefold_sanitizer::dispatch::Dispatch;
use gatefold_sanitizer::run as interpret;

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Interprets it and prints what is wrong. Status 1 if anything is.
pub(super) fn run(file: &Path, dispatch: Option<&Path>) -> Result<u8> {
    let text = read(file)?;
    let beside = file.with_extension("json");
    let path = dispatch.unwrap_or(&beside);
    if dispatch.is_none() && !beside.exists() {
        bail!(
            "{}: expected a dispatch file beside {}, or --dispatch FILE.json; for example \
             {{\"grid\": [1, 1, 1], \"buffers\": {{\"x\": {{\"random_f32\": [-1, 1], \"elements\": 64}}, \
             \"y\": {{\"uninitialised\": true, \"elements\": 64}}}}}}",
            beside.display(),
            file.display()
        );
    }
    let dispatch = Dispatch::from_json(&read(path)?).with_context(|| path.display().to_string())?;
    let program = dispatch.program(&text).with_context(|| file.display().to_string())?;
    let launch = dispatch.launch(&program).with_context(|| path.display().to_string())?;
    let outcome = interpret(&program, launch, &dispatch.options())?;
    let lines: Vec<_> = text.lines().collect();
    for finding in &outcome.findings {
        println!("{}:{finding}", file.display());
        if let Some(line) = lines.get((finding.line as usize).wrapping_sub(1)) {
            println!("    {}", line.trim());
        }
    }
    let (found, trips) = (outcome.findings.len(), outcome.trips);
    println!("sanitize: {found} findings; at most {trips} loop trips of one invocation, {} in all", outcome.all_trips);
    Ok(u8::from(found > 0))
}
