//! Golden vectors: `.safetensors` cases from anywhere, checked on the reference and on an adapter.
//!
//! Four forms are read: the family format (`attrs`), ONNX backend node cases (`attributes`), WebNN conformance cases (`arguments`) and our
//! own (`spec`).

pub mod archive;
mod family;
pub mod job;
mod onnx;
mod onnx_attention;
mod onnx_flex;
mod onnx_rotary;
mod onnx_top_k;
mod own;
mod routing_expert_choice;
mod routing_losses;
mod routing_plan;
mod routing_rows;
mod routing_top_k_gate;
mod webnn;

use std::fmt;
use std::path::{Path, PathBuf};

use gatefold_wgpu::Gpu;
use serde::Serialize;

use archive::Archive;
use job::{Case, Stop, Subject};

/// What came of a case on one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every expected output within its tolerance.
    Passed,
    /// Not so, or the file cannot be read.
    Failed,
    /// Outside of what the library offers.
    NotSupported,
}

/// One case on one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Folder and file name without ending.
    pub name: String,
    /// `reference` or `adapter`.
    pub subject: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// Reason, or notes of a case that passed.
    pub reason: String,
    /// Largest share of the file's tolerance used.
    pub used: f64,
    /// Largest error ÷ bound, for an adapter.
    pub ratio: Option<f64>,
}

/// All cases.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcomes {
    /// One by one.
    pub all: Vec<Outcome>,
}

/// Turns a file into ops and expected outputs.
///
/// # Errors
/// [`Stop::NotSupported`] by name of the option, or [`Stop::Wrong`] for a file that makes no sense.
pub fn read_case(file: &Archive) -> Result<Case, Stop> {
    match &file.case {
        case if case.get("spec").is_some() => own::read(file, &case["spec"]),
        case if case.get("attributes").is_some() => onnx::read(file),
        case if case.get("arguments").is_some() => webnn::read(file),
        case if case.get("op").is_some() => family::read(file),
        _ => Err(Stop::Wrong("metadata entry \"case\": no op".into())),
    }
}

impl Outcomes {
    /// How many have this verdict.
    pub fn count(&self, verdict: &Verdict) -> usize {
        self.all.iter().filter(|o| o.verdict == *verdict).count()
    }

    /// Whether nothing failed and something passed.
    pub fn passed(&self) -> bool {
        self.count(&Verdict::Failed) == 0 && self.count(&Verdict::Passed) > 0
    }

    fn add(&mut self, name: &str, subject: &'static str, result: Result<(String, f64, Option<f64>), Stop>) {
        let (verdict, (reason, used, ratio)) = match result {
            Ok(found) => (Verdict::Passed, found),
            Err(Stop::NotSupported(why)) => (Verdict::NotSupported, (why, 0.0, None)),
            Err(Stop::Wrong(why)) => (Verdict::Failed, (why, 0.0, None)),
        };
        self.all.push(Outcome { name: name.into(), subject, verdict, reason, used, ratio });
    }

    fn check_file(&mut self, path: &Path, gpu: Option<&Gpu>, write: Option<&Path>) {
        let folder =
            path.parent().and_then(Path::file_name).map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = path.file_stem().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{folder}/{stem}");
        let file = Archive::read(path).map_err(Stop::Wrong);
        let case = file.and_then(|file| Ok((read_case(&file)?, file)));
        let (case, file) = match case {
            Ok(found) => found,
            Err(stop) => return self.add(&name, "file", Err(stop)),
        };
        let notes = case.notes.join("; ");
        let subjects = [Some(Subject::Reference), gpu.map(Subject::Adapter)];
        for subject in subjects.into_iter().flatten() {
            let label = if matches!(subject, Subject::Reference) { "reference" } else { "adapter" };
            let mut result = case.run(subject);
            if let (Ok(made), Subject::Adapter(_), Some(folder)) = (&result, subject, write) {
                let to = folder.join(format!("{stem}.safetensors"));
                result = match archive::write(&to, &made.outputs, &file.case) {
                    Ok(()) => result,
                    Err(why) => Err(Stop::Wrong(why)),
                };
            }
            self.add(&name, label, result.map(|made| (notes.clone(), made.used, made.ratio)));
        }
    }
}

/// Every `.safetensors` file below a folder, sorted; a file is itself.
fn files_below(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if path.is_file() {
        found.push(path.into());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for p in paths {
        if p.is_dir() {
            files_below(&p, found)?;
        } else if p.extension().is_some_and(|e| e == "safetensors") {
            found.push(p);
        }
    }
    Ok(())
}

/// Checks every case below the folders on the reference and, if there is one, on the adapter. `write`: a folder that gets what the
/// adapter gave. `progress` is told each file before it is checked.
///
/// # Errors
/// A folder that cannot be read or written, in words.
pub fn check_folders(
    folders: &[PathBuf],
    gpu: Option<&Gpu>,
    write: Option<&Path>,
    progress: &mut dyn FnMut(&Path),
) -> Result<Outcomes, String> {
    let mut files = Vec::new();
    for folder in folders {
        files_below(folder, &mut files)?;
    }
    if let Some(folder) = write {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let mut outcomes = Outcomes::default();
    for file in &files {
        progress(file);
        outcomes.check_file(file, gpu, write);
    }
    Ok(outcomes)
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for o in &self.all {
            let Outcome { name, subject, reason, used, .. } = o;
            let ratio = o.ratio.map(|r| format!(", error/bound {r:.4}")).unwrap_or_default();
            let notes = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            match o.verdict {
                Verdict::Passed => {
                    writeln!(f, "pass           {name} on {subject}: {used:.4} of the tolerance{ratio}{notes}")?
                }
                Verdict::Failed => writeln!(f, "FAIL           {name} on {subject}: {reason}")?,
                Verdict::NotSupported => writeln!(f, "not supported  {name}: {reason}")?,
            }
        }
        let [passed, failed, other] = [Verdict::Passed, Verdict::Failed, Verdict::NotSupported].map(|v| self.count(&v));
        write!(f, "vectors: {passed} passed, {failed} failed, {other} not supported")
    }
}
