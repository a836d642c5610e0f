//! Which inputs are kept in the repository: few, that reach most.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Most inputs that are kept for a target.
const MOST: usize = 40;

/// An input and what it reaches, as libFuzzer numbers it.
struct Input {
    path: PathBuf,
    size: u64,
    reaches: BTreeSet<u64>,
}

/// Reads libFuzzer's notes of a merge: a count of files, of those of the first folder, their names, then lines `STARTED n size` and `FT n feature…`.
fn read(notes: &str) -> Result<Vec<Input>> {
    let mut lines = notes.lines();
    let count =
        lines.next().and_then(|l| l.trim().parse::<usize>().ok()).context("notes of a merge: expected a count")?;
    lines.next();
    let mut inputs: Vec<_> =
        lines.by_ref().take(count).map(|l| Input { path: l.into(), size: 0, reaches: BTreeSet::new() }).collect();
    for line in lines {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.filter_map(|w| w.parse().ok()).collect();
        let Some((&at, rest)) = numbers.split_first() else { continue };
        let Some(input) = usize::try_from(at).ok().and_then(|at| inputs.get_mut(at)) else { continue };
        match kind {
            "STARTED" => input.size = rest.first().copied().unwrap_or(0),
            "FT" => input.reaches = rest.iter().copied().collect(),
            _ => {}
        }
    }
    Ok(inputs)
}

/// The inputs that add most, one after another; the shorter of two that add as much.
fn best(mut inputs: Vec<Input>, most: usize) -> Vec<PathBuf> {
    let mut taken = Vec::new();
    while taken.len() < most {
        let Some(at) = (0..inputs.len()).max_by_key(|&at| (inputs[at].reaches.len(), u64::MAX - inputs[at].size))
        else {
            break;
        };
        let Input { path, reaches, .. } = inputs.swap_remove(at);
        if reaches.is_empty() {
            break;
        }
        inputs.iter_mut().for_each(|i| i.reaches.retain(|r| !reaches.contains(r)));
        taken.push(path);
    }
    taken
}

/// Files of a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect())
}

/// Replaces what is kept of a target by the best of that and of what has been found.
pub(super) fn choose(name: &str, mut program: Command, [found, kept]: &[PathBuf; 2]) -> Result<()> {
    let notes = found.with_file_name("merge");
    let merged = found.with_file_name("merged");
    for old in [&notes, &merged] {
        let _ = std::fs::remove_file(old);
        let _ = std::fs::remove_dir_all(old);
    }
    std::fs::create_dir_all(&merged).with_context(|| format!("making {}", merged.display()))?;
    program.args(["-set_cover_merge=1", "-rss_limit_mb=4096"]).arg(format!("-merge_control_file={}", notes.display()));
    program.args([&merged, kept, found]).stdin(Stdio::null());
    let out = program.output().context("starting the target")?;
    let text = std::fs::read_to_string(&notes).with_context(|| format!("reading {}", notes.display()))?;
    if !out.status.success() {
        bail!("{name}: merging ended with {}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    let inputs = read(&text)?;
    let (count, best) = (inputs.len(), best(inputs, MOST));
    let contents = best.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>().context("reading an input")?;
    for old in files(kept)? {
        std::fs::remove_file(&old).with_context(|| format!("removing {}", old.display()))?;
    }
    for (path, bytes) in best.iter().zip(contents) {
        let to = kept.join(path.file_name().context("an input without a name")?);
        std::fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))?;
    }
    println!("{name}: {} of {count} inputs kept", best.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inputs_that_add_most_are_kept() {
        let notes = "3\n1\na\nb\nc\nSTARTED 0 5\nFT 0 1 2\nCOV 0 9\nSTARTED 1 9\nFT 1 1 2 3\nSTARTED 2 2\nFT 2 4\n";
        let found = best(read(notes).unwrap(), 9);
        assert_eq!(found, ["b", "c"].map(PathBuf::from));
        assert_eq!(best(read(notes).unwrap(), 1), ["b"].map(PathBuf::from));
        assert!(read("none").is_err());
    }
}
