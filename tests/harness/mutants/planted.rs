//! Faults that nobody chose: every place in the kernels where one symbol could have been another.
//!
//! The table's mutants are what people get wrong; these are what a reader might try. Both go the same way. What survives is one of two things: a place
//! that no case reaches, or a change that is none (a bound that is never met, work that is skipped only to save time).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatefold_cpu_ref::data::Rng;

use super::Mutant;

/// Signs that stand between two values, as the kernels are written: with a space on both sides. What each becomes.
const SIGNS: [(&str, &str); 15] = [
    ("+", "-"),
    ("-", "+"),
    ("*", "+"),
    ("/", "*"),
    ("%", "/"),
    ("<", "<="),
    ("<=", "<"),
    (">", ">="),
    (">=", ">"),
    ("==", "!="),
    ("!=", "=="),
    ("&", "|"),
    ("|", "&"),
    ("+=", "-="),
    ("-=", "+="),
];

/// Names that become others.
const NAMES: [(&str, &str); 6] =
    [("max", "min"), ("min", "max"), ("true", "false"), ("false", "true"), ("exp", "sqrt"), ("abs", "sqrt")];

/// A place in a file and what is planted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// WGSL file below `shaders/src`.
    pub file: String,
    /// Line in it, from 1.
    pub line: usize,
    /// First byte in the file …
    at: usize,
    /// … the text there …
    pub was: String,
    /// … and what it becomes.
    pub becomes: String,
    /// The file.
    text: Arc<str>,
}

impl Planted {
    /// As a mutant.
    pub fn mutant(&self) -> Mutant {
        let mut with = self.text.to_string();
        with.replace_range(self.at..self.at + self.was.len(), &self.becomes);
        let line = self.text.lines().nth(self.line - 1).unwrap_or_default().trim();
        let leak = |text: String| -> &'static str { text.leak() };
        Mutant {
            name: leak(format!("{}:{}+{}", self.file, self.line, self.at)),
            target: leak(self.file.clone()),
            fault: leak(format!("`{}` for `{}` in: {line}", self.becomes.trim(), self.was.trim())),
            find: leak(self.text.to_string()),
            with: leak(with),
            op: "",
            reach: &[],
        }
    }
}

/// Every place in the files below a folder, in order of their names.
///
/// # Errors
/// If a file is not read.
pub fn all_in(folder: &Path) -> std::io::Result<Vec<Planted>> {
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        all.extend(places(&name, &text));
    }
    Ok(all)
}

/// So many of them, in their order.
pub fn draw(all: Vec<Planted>, count: usize, seed: u64) -> Vec<Planted> {
    let mut rng = Rng::new(seed, 0);
    let mut keyed: Vec<_> =
        all.into_iter().enumerate().map(|(place, planted)| (rng.next_u64(), place, planted)).collect();
    keyed.sort_by_key(|(key, ..)| *key);
    keyed.truncate(count);
    keyed.sort_by_key(|(_, place, _)| *place);
    keyed.into_iter().map(|(.., planted)| planted).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            files.push(path);
        }
    }
    Ok(())
}

/// Every place in a text.
fn places(file: &str, text: &str) -> Vec<Planted> {
    let (mut all, mut start) = (Vec::new(), 0);
    let whole: Arc<str> = text.into();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        // Attributes and declarations of types say how a kernel is called, not what it computes.
        if !(code.contains('@') || code.starts_with("struct") || code.trim_end().ends_with(',') && code.contains(": "))
        {
            let mut add = |at: usize, was: &str, becomes: String| {
                let (file, was) = (file.to_string(), was.to_string());
                all.push(Planted { file, line: index + 1, at: start + at, was, becomes, text: whole.clone() });
            };
            in_line(code, &mut add);
        }
        start += line.len();
    }
    all
}

fn in_line(code: &str, add: &mut dyn FnMut(usize, &str, String)) {
    let bytes = code.as_bytes();
    let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'.';
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|&&c| is_word(c)).count();
        if length > 0 {
            in_word(&code[at..at + length], at, add);
            at += length;
            continue;
        }
        let rest = &code[at..];
        let spaced =
            |sign: &str| rest.strip_prefix(' ').and_then(|r| r.strip_prefix(sign)).is_some_and(|r| r.starts_with(' '));
        if let Some((sign, other)) = SIGNS.iter().find(|(sign, _)| spaced(sign)) {
            add(at + 1, sign, (*other).to_string());
        }
        at += 1;
    }
    // A statement that is not there: an assignment, a call, a barrier.
    let statement = code.trim();
    let keeps = ["let ", "var ", "const ", "return", "for ", "if ", "}", "fn ", "_ =", "break", "continue", "while "];
    if statement.ends_with(';')
        && statement.matches(';').count() == 1
        && !keeps.iter().any(|k| statement.starts_with(k))
    {
        let first = code.len() - code.trim_start().len();
        add(first, statement, ";".to_string());
    }
}

/// A word: a name with another, or a number one or twice as large.
fn in_word(word: &str, at: usize, add: &mut dyn FnMut(usize, &str, String)) {
    if let Some((name, other)) = NAMES.iter().find(|(name, _)| *name == word) {
        return add(at, name, (*other).to_string());
    }
    let digits = |text: &str| text.strip_suffix(['u', 'i']).unwrap_or(text).parse::<u32>().ok();
    if let Some(number) = digits(word) {
        let suffix = word.trim_start_matches(|c: char| c.is_ascii_digit());
        return add(at, word, format!("{}{suffix}", number.wrapping_add(1)));
    }
    if let Ok(number) = word.trim_end_matches(['f', 'h']).parse::<f32>()
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.contains('.')
    {
        let other = if number == 0.0 { "1.0".to_string() } else { format!("{:?}", number * 2.0) };
        add(at, word, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(text: &str) -> Vec<String> {
        places("f.wgsl", text).iter().map(|p| p.mutant().with.to_string()).collect()
    }

    #[test]
    fn signs_numbers_names_and_statements_are_changed_one_at_a_time() {
        assert_eq!(planted("let a = b + 1u;\n"), ["let a = b - 1u;\n", "let a = b + 2u;\n"]);
        assert_eq!(
            planted("x[2] = max(*p, 0.5);"),
            ["x[3] = max(*p, 0.5);", "x[2] = min(*p, 0.5);", "x[2] = max(*p, 1.0);", ";"]
        );
        assert_eq!(planted("    workgroupBarrier();\n"), ["    ;\n"]);
    }

    #[test]
    fn types_attributes_and_comments_are_not() {
        for text in [
            "fn f(v: vec4<f32>, p: ptr<function, f32>) {",
            "@group(0) @binding(0) var<uniform> p: P;",
            "// a + 1",
            "    cols: u32,",
        ] {
            assert_eq!(planted(text), Vec::<String>::new(), "{text}");
        }
    }
}
