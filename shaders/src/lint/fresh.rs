//! Variables in loops have an initialiser: read from the text, since naga's IR declares every variable at the top of its function.

use super::{Finding, Rule};
use crate::link::Module;

/// The text without comments; line breaks stay.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(|line| [line, "\n"]).collect()
}

pub(super) fn check(module: &Module) -> Vec<Finding> {
    let mut found = Vec::new();
    // Whether each open block is a loop's, brackets open in the statement at hand, the line, and where its first word stands.
    let (mut blocks, mut brackets, mut line) = (Vec::new(), 0_usize, 0_usize);
    let (mut statement, mut first_line) = (String::new(), 0);
    for c in code(&module.text).chars() {
        match c {
            '\n' => line += 1,
            '(' => brackets += 1,
            ')' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        let ends = brackets == 0 && matches!(c, ';' | '{' | '}');
        if !ends {
            if !(statement.is_empty() && c.is_whitespace()) {
                if statement.is_empty() {
                    first_line = line;
                }
                statement.push(c);
            }
            continue;
        }
        let word = statement.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        match c {
            '{' => blocks.push(["for", "while", "loop"].contains(&word)),
            '}' => _ = blocks.pop(),
            _ if word == "var" && !statement.contains('=') && blocks.contains(&true) => {
                let origin = &module.origins[first_line.min(module.origins.len() - 1)];
                let message = format!("`{statement};` in a loop");
                found.push(Finding { rule: Rule::Fresh, file: origin.file.into(), line: origin.line, message });
            }
            _ => {}
        }
        statement.clear();
    }
    found
}
