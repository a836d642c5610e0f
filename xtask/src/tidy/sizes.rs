//! Sizes of files and functions. A file may go over a cap if its header says why.

use super::Checked;
use super::strip::code_only;

/// Lines of a Rust file, of a WGSL file, of a function.
const RUST_LINES: usize = 400;
const WGSL_LINES: usize = 200;
const FUNCTION_LINES: usize = 60;

/// Files and functions over their cap.
pub(super) fn faults(files: &[Checked]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| !f.is_excused()) {
        let cap = if file.is(".rs") {
            RUST_LINES
        } else if file.is(".wgsl") {
            WGSL_LINES
        } else {
            continue;
        };
        let lines = file.text.lines().count();
        if lines > cap {
            faults.push(format!("{}: {lines} lines, the cap is {cap} (or say why: \"Over the cap: …\")", file.path));
        }
        for (name, line, length) in functions(&file.text) {
            if length > FUNCTION_LINES {
                faults.push(format!("{}:{line}: fn {name} has {length} lines, the cap is {FUNCTION_LINES}", file.path));
            }
        }
    }
    faults
}

/// The name of the function that a line begins, if it does.
fn begins(line: &str) -> Option<&str> {
    let at = line.find("fn ").filter(|&at| at == 0 || line[..at].ends_with([' ', '(', ')']))?;
    let name = line[at + 3..].split(['(', '<']).next()?.trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// Functions with a body: name, first line, count of lines. Nested functions count for themselves and for the outer one.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let code = code_only(text);
    let lines: Vec<_> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        if let Some(name) = begins(line)
            && let Some(length) = length(&lines[start..])
        {
            found.push((name.to_string(), start + 1, length));
        }
    }
    found
}

/// Lines up to the brace that closes the first one; `None` for a declaration without a body.
fn length(lines: &[&str]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                ';' if depth == 0 && !line.contains('[') => return None,
                '{' => depth += 1,
                '}' if depth <= 1 => return Some(at + 1),
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured() {
        let text = "fn a();\npub(crate) fn b<T>(x: [u8; 4]) -> T\n{\n  if x { \"}\" }\n}\nlet f = fn_name(x);\n";
        assert_eq!(functions(text), [("b".to_string(), 2, 4)]);
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        let long =
            |header: &str| Checked { path: "a.rs".into(), text: format!("{header}\n{}", "\n".repeat(RUST_LINES)) };
        assert_eq!(faults(&[long("//! A.")]).len(), 1);
        assert!(faults(&[long("//! Over the cap: a table.")]).is_empty());
    }
}
