//! Source text without comments and literals, line by line, so that braces and words can be counted.

/// Where in a text one is.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    Line,
    /// Depth of nesting.
    Block(usize),
    Text,
    /// Count of `#`.
    Raw(usize),
}

/// The text with every comment and every literal replaced by nothing; line breaks stay.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut kept = String::with_capacity(text.len());
    let (mut state, mut at) = (State::Code, 0);
    while at < chars.len() {
        let c = chars[at];
        if c == '\n' {
            kept.push(c);
            if state == State::Line {
                state = State::Code;
            }
            at += 1;
            continue;
        }
        let (next, step, keep) = advance(state, &chars, at);
        if keep {
            kept.push(c);
        }
        (state, at) = (next, at + step);
    }
    kept
}

/// The state after the character at `at`, how many characters to go on, and whether the character is code.
fn advance(state: State, chars: &[char], at: usize) -> (State, usize, bool) {
    let starts = |what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    match state {
        State::Line => (state, 1, false),
        State::Block(depth) if starts("*/") => {
            (if depth == 1 { State::Code } else { State::Block(depth - 1) }, 2, false)
        }
        State::Block(depth) if starts("/*") => (State::Block(depth + 1), 2, false),
        State::Block(_) => (state, 1, false),
        State::Text if starts("\\") => {
            // An escaped line break must stay a line break.
            (state, if chars.get(at + 1) == Some(&'\n') { 1 } else { 2 }, false)
        }
        State::Text if starts("\"") => (State::Code, 1, false),
        State::Text => (state, 1, false),
        State::Raw(hashes) if starts(&format!("\"{}", "#".repeat(hashes))) => (State::Code, 1 + hashes, false),
        State::Raw(_) => (state, 1, false),
        State::Code if starts("//") => (State::Line, 2, false),
        State::Code if starts("/*") => (State::Block(1), 2, false),
        State::Code if starts("\"") => (State::Text, 1, false),
        State::Code if starts("'") => (state, quote(chars, at), false),
        State::Code => raw(chars, at),
    }
}

/// A raw string's beginning, or a plain character.
fn raw(chars: &[char], at: usize) -> (State, usize, bool) {
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if chars[at] == 'r' && !after_word {
        let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
        if chars.get(at + 1 + hashes) == Some(&'"') {
            return (State::Raw(hashes), 2 + hashes, false);
        }
    }
    (State::Code, 1, true)
}

/// Length of a character literal, or 1 for a lifetime's tick.
fn quote(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let end = chars[at + 2..].iter().skip(1).take_while(|&&c| c != '\'').count();
        return end + 4;
    }
    if chars.get(at + 2) == Some(&'\'') { 3 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_go() {
        assert_eq!(code_only("a // b {\nc"), "a \nc");
        assert_eq!(code_only("a /* { /* } */ */ b"), "a  b");
        assert_eq!(code_only(r#"f("}\"{", '{', '\'', x)"#), "f(, , , x)");
        assert_eq!(code_only("r#\"{\"{\"# + for<'a>"), " + for<a>");
        assert_eq!(code_only("\"a\nb\""), "\n");
    }
}
