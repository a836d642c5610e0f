//! Evidence: the reports of `cargo xtask conformance --json`, as a page that a person can read, and one against another.

mod difference;
mod html;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gatefold_tests::report::Report;

use crate::shell;

/// `cargo xtask report`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportOf {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Say what changed from report A to report B; status 1 if something got worse
    Diff {
        /// The older report
        a: PathBuf,
        /// The newer report
        b: PathBuf,
    },
    /// Write reports as one page; without any, those in the folder `evidence`
    Html {
        /// Reports, as `conformance --json` writes them
        reports: Vec<PathBuf>,
        /// The page
        #[arg(long, default_value = "evidence.html")]
        out: PathBuf,
    },
}

impl ReportOf {
    pub(crate) fn run(&self) -> Result<u8> {
        match &self.task {
            Task::Diff { a, b } => {
                let changes = difference::between(&read(a)?, &read(b)?)?;
                changes.iter().for_each(|c| println!("{c}"));
                let worse = changes.iter().filter(|c| c.is_worse()).count();
                println!("report diff: {} changes, {worse} of them for the worse", changes.len());
                Ok(u8::from(worse > 0))
            }
            Task::Html { reports, out } => {
                let files = if reports.is_empty() { kept()? } else { reports.clone() };
                let mut all = Vec::new();
                for file in &files {
                    all.extend(read(file)?);
                }
                write_page(&all, out)?;
                Ok(0)
            }
        }
    }
}

/// The reports that the repository keeps.
fn kept() -> Result<Vec<PathBuf>> {
    let folder = shell::root().join("evidence");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "json"));
    files.sort();
    if files.is_empty() {
        bail!("{}: holds no report", folder.display());
    }
    Ok(files)
}

/// The reports of a file: one, or a list.
fn read(file: &Path) -> Result<Vec<Report>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let whole = || format!("{}: not a report of `cargo xtask conformance --json`", file.display());
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).with_context(whole);
    }
    Ok(vec![serde_json::from_str(&text).with_context(whole)?])
}

/// Writes reports as a page.
pub(crate) fn write_page(reports: &[Report], out: &Path) -> Result<()> {
    std::fs::write(out, html::page(reports)).with_context(|| format!("writing {}", out.display()))?;
    println!("wrote {}", out.display());
    Ok(())
}
