//! The one transformation the linker makes: loops marked `// unroll` are written out.
//!
//! A micro-tile lives in registers only if every index into it is a constant. Drivers rarely unroll the nested loops that naga writes
//! (measured: 2.6 against 10.7 GFLOP/s for one attention kernel on llvmpipe, 33 % against 70 % useful instructions on RDNA 3), so the
//! linker does it. A marked loop has the form `for (var x = 0u; x < BOUND; x++) { // unroll`, with `BOUND` a literal or one of the
//! variant's constants; its body is repeated with `x` replaced by `0u`, `1u`, …. A loop marked `// unroll if NAME` is written out only if
//! that constant is not 0: software drivers take seconds to compile what a GPU wants written out. Everything else stays as it is in the file.

use std::collections::HashMap;
use std::ops::Range;

const MARK: &str = "// unroll";

/// Text with its marked loops written out, and for every line of it the line of the source (from 0) that it came from.
pub(crate) struct Unrolled {
    pub(crate) text: String,
    pub(crate) lines: Vec<usize>,
}

/// Writes out the marked loops of `text`. The error is a source line (from 0) and what is wrong with it.
pub(crate) fn unroll(text: &str, consts: &HashMap<&str, u32>) -> Result<Unrolled, (usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Unrolled { text: String::with_capacity(text.len()), lines: Vec::new() };
    emit(&lines, 0..lines.len(), consts, &mut Vec::new(), &mut out)?;
    Ok(out)
}

/// Loop variables that stand for a number at this depth.
type Bound<'a> = Vec<(&'a str, u32)>;

fn emit<'a>(
    lines: &[&'a str],
    range: Range<usize>,
    consts: &HashMap<&str, u32>,
    bound: &mut Bound<'a>,
    out: &mut Unrolled,
) -> Result<(), (usize, String)> {
    let mut at = range.start;
    while at < range.end {
        let line = lines[at];
        if !is_marked(line, consts).map_err(|e| (at, e))? {
            out.text.push_str(&substitute(line, bound));
            out.text.push('\n');
            out.lines.push(at);
            at += 1;
            continue;
        }
        let (variable, trips) = header(line.split(MARK).next().unwrap_or(line), consts).map_err(|e| (at, e))?;
        let end =
            closing_line(lines, at, range.end).ok_or_else(|| (at, "the loop's closing brace is missing".into()))?;
        for trip in 0..trips {
            bound.push((variable, trip));
            out.text.push_str("{\n");
            out.lines.push(at);
            emit(lines, at + 1..end, consts, bound, out)?;
            out.text.push_str("}\n");
            out.lines.push(end);
            bound.pop();
        }
        at = end + 1;
    }
    Ok(())
}

/// Whether a line begins a loop that is to be written out.
fn is_marked(line: &str, consts: &HashMap<&str, u32>) -> Result<bool, String> {
    let Some((_, rest)) = line.split_once(MARK) else { return Ok(false) };
    match rest.trim().strip_prefix("if ") {
        None => Ok(rest.trim().is_empty()),
        Some(name) => {
            let value = consts.get(name).ok_or_else(|| format!("`{name}` is not a constant of the variant"))?;
            Ok(*value != 0)
        }
    }
}

/// Variable and trip count of `for (var x = 0u; x < BOUND; x++) {`, what stands before the mark.
fn header<'a>(line: &'a str, consts: &HashMap<&str, u32>) -> Result<(&'a str, u32), String> {
    let form = "a marked loop reads `for (var x = 0u; x < BOUND; x++) { // unroll`";
    let rest = line.trim().strip_prefix("for (var ").ok_or(form)?;
    let (variable, rest) = rest.split_once(" = 0u; ").ok_or(form)?;
    let rest = rest.strip_prefix(variable).and_then(|r| r.strip_prefix(" < ")).ok_or(form)?;
    let (limit, rest) = rest.split_once("; ").ok_or(form)?;
    if rest.strip_prefix(variable).is_none_or(|r| r.trim_end() != "++) {") {
        return Err(form.into());
    }
    let trips = match limit.strip_suffix('u').and_then(|n| n.parse().ok()) {
        Some(n) => n,
        None => {
            *consts.get(limit).ok_or_else(|| format!("`{limit}` is neither a literal nor a constant of the variant"))?
        }
    };
    Ok((variable, trips))
}

/// The line that closes the brace opened on line `open`; braces in comments do not count.
fn closing_line(lines: &[&str], open: usize, end: usize) -> Option<usize> {
    let mut depth = 0i64;
    for (at, line) in lines.iter().enumerate().take(end).skip(open) {
        let code = line.split("//").next().unwrap_or("");
        for c in code.chars() {
            depth += i64::from(c == '{') - i64::from(c == '}');
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// `line` with every whole word that is a bound variable replaced by its number; the code part only.
fn substitute(line: &str, bound: &[(&str, u32)]) -> String {
    if bound.is_empty() {
        return line.to_string();
    }
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    let code = line.split("//").next().unwrap_or("");
    let flush = |word: &mut String, out: &mut String| {
        match bound.iter().rev().find(|(name, _)| name == word) {
            // A member access (`x.r`) is not the variable `r`.
            Some((_, value)) if !out.ends_with('.') => out.push_str(&format!("{value}u")),
            _ => out.push_str(word),
        }
        word.clear();
    };
    for c in code.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            flush(&mut word, &mut out);
            out.push(c);
        }
    }
    flush(&mut word, &mut out);
    out.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_loops_are_written_out_and_lines_are_kept() {
        let text = "a\nfor (var r = 0u; r < N; r++) { // unroll\n  for (var c = 0u; c < 2u; c++) { // unroll\n    x[r * 2u + c] = p.r; // r\n  }\n}\nb";
        let got = unroll(text, &HashMap::from([("N", 2)])).unwrap();
        let code: Vec<_> = got.text.lines().filter(|l| l.contains('=')).map(str::trim).collect();
        assert_eq!(
            code,
            ["x[0u * 2u + 0u] = p.r;", "x[0u * 2u + 1u] = p.r;", "x[1u * 2u + 0u] = p.r;", "x[1u * 2u + 1u] = p.r;"]
        );
        let from: Vec<_> = got.text.lines().zip(&got.lines).filter(|(l, _)| l.contains('=')).map(|(_, &n)| n).collect();
        assert_eq!(from, [3, 3, 3, 3]);
        assert_eq!(got.text.lines().count(), got.lines.len());
    }

    #[test]
    fn a_condition_decides() {
        let text = "for (var r = 0u; r < 2u; r++) { // unroll if OUT\n  x[r] = 1;\n}\n";
        let lines = |out| unroll(text, &HashMap::from([("OUT", out)])).unwrap().text;
        assert_eq!(lines(0), text);
        assert!(lines(1).contains("x[1u] = 1;") && !lines(1).contains("for"));
        assert!(unroll(text, &HashMap::new()).err().unwrap().1.contains("OUT"));
    }

    #[test]
    fn an_unknown_bound_is_named() {
        let (line, message) =
            unroll("x\nfor (var r = 0u; r < ROWS; r++) { // unroll\n}", &HashMap::new()).err().unwrap();
        assert_eq!(line, 1);
        assert!(message.contains("ROWS"), "{message}");
    }
}
