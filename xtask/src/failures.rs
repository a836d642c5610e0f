//! What a log says about failures, to be said again at its end: often the end of a long log is all that is at hand.

/// Most lines that are said again.
const LINES: usize = 60;
/// Most characters of these, and of one line: a log may be kept by its length.
const CHARACTERS: usize = 8_000;
const WIDTH: usize = 360;
/// Lines of one test's or one compiler's message.
const MESSAGE: usize = 8;
/// Lines of a log that names no failure.
const LAST: usize = 15;

/// Whether a line alone says what failed: of cases, vectors, machine code, formatting.
fn is_verdict(line: &str) -> bool {
    let begins = ["FAILED ", "CRASHED ", "FAIL ", "FAILED: ", "FAULT: ", "Diff in "];
    begins.iter().any(|b| line.starts_with(b)) || line.trim_start().starts_with("replay: ")
}

/// Whether a message begins here: a test's, a compiler's, a panic's.
fn begins_message(line: &str) -> bool {
    let is_test = line.starts_with("---- ") && line.ends_with(" ----");
    let is_error = line.starts_with("error:") || line.starts_with("error[");
    is_test || is_error || (line.starts_with("thread '") && line.contains("panicked at"))
}

/// Whether a message ends before this line.
fn ends_message(line: &str) -> bool {
    let is_next = ["failures:", "test ", "test result:", "running ", "---- ", "warning", "stack backtrace:"];
    begins_error(line) || is_next.iter().any(|b| line.starts_with(b))
}

fn begins_error(line: &str) -> bool {
    line.starts_with("error:") || line.starts_with("error[")
}

/// The lines of a log that name failures, each once.
pub(crate) fn named(log: &str) -> Vec<String> {
    // What a conformance run says at its end has all that it said on the way, and without the failures that were expected.
    let log = log.find("conformance on ").map_or(log, |at| &log[at..]);
    let mut found: Vec<String> = Vec::new();
    // lines that the message at hand may still have
    let mut left = 0;
    for line in log.lines() {
        let in_message = left > 0 && !ends_message(line);
        if is_verdict(line) {
            left = 0;
        } else if in_message {
            left -= usize::from(!line.trim().is_empty());
        } else {
            left = if begins_message(line) { MESSAGE - 1 } else { 0 };
        }
        let wanted = is_verdict(line) || in_message || begins_message(line);
        let says_something = !line.trim().is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE");
        if wanted && says_something && !found.iter().any(|f| f == line) {
            found.push(line.to_string());
        }
    }
    found
}

/// The lines of a log that name failures; if none does, its last lines. `who` wrote it, if several did.
pub(crate) fn of_log(who: &str, log: &str) -> Vec<String> {
    let mut lines = named(log);
    if lines.is_empty() {
        let all: Vec<_> = log.lines().filter(|l| !l.trim().is_empty()).collect();
        lines = all[all.len().saturating_sub(LAST)..].iter().map(ToString::to_string).collect();
        lines.insert(0, "failed without naming what; its last lines:".into());
    }
    lines.into_iter().map(|line| if who.is_empty() { line } else { format!("{who}: {line}") }).collect()
}

fn clipped(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.into(),
    }
}

/// Every stage's failures under its name. Where there are too many, those with the most lose the rest.
pub(crate) fn summary(stages: &[(&str, Vec<String>)]) -> Vec<String> {
    let with: Vec<_> = stages.iter().filter(|(_, lines)| !lines.is_empty()).collect();
    let shown = |most: usize| {
        let mut all = Vec::new();
        for (name, lines) in &with {
            all.push(format!("-- {name}"));
            all.extend(lines.iter().take(most).map(|l| format!("   {}", clipped(l))));
            if lines.len() > most {
                all.push(format!("   … and {} lines more", lines.len() - most));
            }
        }
        all
    };
    let length = |all: &[String]| all.iter().map(|l| l.chars().count()).sum::<usize>();
    let fits = |all: &Vec<String>| all.len() <= LINES && length(all) <= CHARACTERS;
    (1..=LINES).rev().map(shown).find(fits).unwrap_or_else(|| shown(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_with_its_replay() {
        let log = "FAILED attention seed 3: expected\nFAILED attention seed 9: wrong\nconformance on llvmpipe\n\
                   attention: 10 cases (10 native), 9 passed, 1 failed, 1 expected failures, 0 not supported\n\
                   FAILED attention seed 9 [sigmoid, 1x2, native]: wrong\n       replay: cargo xtask repro attention 9\n\
                   FAILED: 10 cases from seed 0, worst error/bound 2 (gate 0.25), 3 s\n";
        let found = of_log("lavapipe", log);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert_eq!(found[0], "lavapipe: FAILED attention seed 9 [sigmoid, 1x2, native]: wrong");
        assert!(found[1].ends_with("cargo xtask repro attention 9"));
        // a process that crashed before its report
        assert_eq!(of_log("", "FAILED attention seed 3: wrong\nother\n"), ["FAILED attention seed 3: wrong"]);
    }

    #[test]
    fn a_test_is_named_with_its_message() {
        let log = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\n\
                   thread 'b' (7) panicked at tests/x.rs:3:5:\nassertion failed: 1 > 2\n\
                   note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n\n\nfailures:\n    b\n\n\
                   test result: FAILED. 1 passed; 1 failed\nerror: 1 target failed:\n    `-p gatefold-tests --test x`\n";
        let expected = [
            "---- b stdout ----",
            "thread 'b' (7) panicked at tests/x.rs:3:5:",
            "assertion failed: 1 > 2",
            "error: 1 target failed:",
            "    `-p gatefold-tests --test x`",
        ];
        assert_eq!(named(log), expected);
        let long: String = (0..99).map(|n| format!("line {n}\n")).collect();
        assert_eq!(named(&format!("---- wgsl_mutant ----\n{long}\nfailures:\n    wgsl_mutant\n")).len(), MESSAGE);
    }

    #[test]
    fn what_compilers_vectors_and_machine_code_say_is_found() {
        let log = "   Compiling x\nerror: unused variable: `y`\n --> src/lib.rs:1:2\n  |\n1 | let y;\n\nerror[E0308]: mismatched\n\
                   warning: build failed\n";
        let found = named(log);
        assert!(found[0].starts_with("error: unused") && found[1].contains("src/lib.rs:1:2"), "{found:?}");
        assert!(
            found.iter().any(|l| l.starts_with("error[E0308]")) && !found.iter().any(|l| l.contains("build failed"))
        );
        let log =
            "passed  a\nFAIL           b on adapter: o[3]\nFAULT: attention_forward: 2 spills\nDiff in /x/y.rs:3:\n";
        assert_eq!(named(log).len(), 3);
    }

    #[test]
    fn a_log_that_names_nothing_ends_with_its_last_lines() {
        let log: String = (0..40).map(|n| format!("line {n}\n\n")).collect();
        let found = of_log("swiftshader", &log);
        assert_eq!(found.len(), LAST + 1);
        assert_eq!(found.last().map(String::as_str), Some("swiftshader: line 39"));
    }

    #[test]
    fn every_stage_keeps_a_place() {
        let many: Vec<_> = (0..500).map(|n| format!("FAILED {n} {}", "x".repeat(n))).collect();
        let lines = summary(&[("clippy", vec!["error: one".into()]), ("docs", vec![]), ("conformance", many)]);
        assert!(lines.len() <= LINES && lines.iter().map(|l| l.chars().count()).sum::<usize>() <= CHARACTERS);
        assert_eq!(lines[..3], ["-- clippy", "   error: one", "-- conformance"]);
        assert!(lines.last().unwrap().ends_with("lines more"));
        assert_eq!(summary(&[("clippy", vec![])]), Vec::<String>::new());
    }
}
