//! Reads specs and their documentation from source text: enough of Rust for plain structs and enums.

use std::path::Path;

use anyhow::{Context, Result};

/// A field or a variant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Member {
    /// As in JSON.
    pub(super) json: String,
    /// Type, as in Rust.
    pub(super) kind: String,
    pub(super) docs: String,
    /// Whether it may be left out.
    pub(super) optional: bool,
}

/// A documented struct or enum.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) docs: String,
    pub(super) is_enum: bool,
    pub(super) members: Vec<Member>,
}

/// The text of every file of a crate.
pub(super) struct Sources(Vec<String>);

fn read_folder(folder: &Path, texts: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_folder(&path, texts)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            texts.push(std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    Ok(())
}

impl Sources {
    /// Reads every file below a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut texts = Vec::new();
        read_folder(folder, &mut texts)?;
        Ok(Self(texts))
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        let starts = |l: &str| opens(l).is_some_and(|(found, _)| found == name);
        self.0.iter().find(|t| t.lines().any(starts)).map(String::as_str)
    }

    /// The public struct or enum of that name.
    pub(super) fn find(&self, name: &str) -> Option<Item> {
        parse(self.text_of(name)?, name)
    }

    /// The documentation of the file that holds it.
    pub(super) fn module_of(&self, name: &str) -> Option<String> {
        let lines = self.text_of(name)?.lines().take_while(|l| l.starts_with("//!"));
        Some(lines.map(|l| l.trim_start_matches("//!").trim_start_matches(' ')).collect::<Vec<_>>().join("\n"))
    }

    /// Adds the types that an item's members name, and those that theirs name, in order of appearance.
    pub(super) fn mentioned(&self, item: &Item, types: &mut Vec<String>) {
        for word in item.members.iter().flat_map(|m| m.kind.split(|c: char| !c.is_alphanumeric())) {
            let known = types.iter().any(|t| t == word);
            if let Some(found) = self.find(word).filter(|_| !known && !word.is_empty()) {
                types.push(word.into());
                self.mentioned(&found, types);
            }
        }
    }
}

/// The name that a line defines, and whether as an enum.
fn opens(line: &str) -> Option<(&str, bool)> {
    let (rest, is_enum) = match line.strip_prefix("pub struct ") {
        Some(rest) => (rest, false),
        None => (line.strip_prefix("pub enum ")?, true),
    };
    Some((rest.strip_suffix(" {")?, is_enum))
}

fn parse(text: &str, name: &str) -> Option<Item> {
    let mut item = Item { name: name.into(), ..Item::default() };
    let mut docs = Vec::new();
    let mut lines = text.lines();
    for line in lines.by_ref() {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.strip_prefix(' ').unwrap_or(doc));
        } else if let Some((found, is_enum)) = opens(line) {
            if found == name {
                item.is_enum = is_enum;
                item.docs = docs.join("\n");
                break;
            }
            docs.clear();
        } else if !line.starts_with("#[") {
            docs.clear();
        }
    }
    let body: Vec<_> = lines.take_while(|l| *l != "}").collect();
    item.members = members(&body, item.is_enum);
    (!item.docs.is_empty()).then_some(item)
}

/// Members of the body of an item. A variant's own fields become part of its JSON.
fn members(body: &[&str], is_enum: bool) -> Vec<Member> {
    let mut found: Vec<Member> = Vec::new();
    let mut next = Member::default();
    for line in body {
        let outer = !line.starts_with("        ");
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            if outer {
                next.docs.push_str(doc.strip_prefix(' ').unwrap_or(doc));
                next.docs.push('\n');
            }
        } else if line.starts_with("#[") {
            next.optional |= line.contains("default");
        } else if !outer {
            if let (Some(variant), Some((field, kind))) =
                (found.last_mut(), line.trim_end_matches(',').split_once(": "))
            {
                variant.kind.push_str(&format!(" {kind}"));
                variant.json.push_str(&format!("\"{field}\": {kind}, "));
            }
        } else if line == "}," || line == "}" {
            close(found.last_mut());
        } else if is_enum && !line.is_empty() {
            found.push(variant(line, std::mem::take(&mut next)));
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|l| l.split_once(": ")) {
            found.push(Member {
                json: name.into(),
                kind: kind.trim_end_matches(',').into(),
                ..std::mem::take(&mut next)
            });
        }
    }
    found
}

/// Ends a variant that has fields.
fn close(variant: Option<&mut Member>) {
    if let Some(v) = variant {
        v.json = format!("{}}}}}", v.json.trim_end_matches(", "));
    }
}

/// A variant as serde writes it with names in snake case.
fn variant(line: &str, next: Member) -> Member {
    let line = line.trim_end_matches(',');
    if let Some(name) = line.strip_suffix(" {") {
        return Member { json: format!("{{\"{}\": {{", snake(name)), ..next };
    }
    match line.strip_suffix(')').and_then(|l| l.split_once('(')) {
        Some((name, kind)) => Member { json: format!("{{\"{}\": {kind}}}", snake(name)), kind: kind.into(), ..next },
        None => Member { json: format!("\"{}\"", snake(line)), ..next },
    }
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_uppercase() && at > 0 {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// Documentation without links between items, which only rustdoc can follow.
pub(super) fn plain(docs: &str) -> String {
    let mut text = docs.to_string();
    while let Some(middle) = text.find("](") {
        let (Some(open), Some(close)) = (text[..middle].rfind('['), text[middle..].find(')')) else { break };
        text = format!("{}{}{}", &text[..open], &text[open + 1..middle], &text[middle + close + 1..]);
    }
    text.replace("[`", "`").replace("`]", "`").replace("```\n/// ", "```\n")
}

/// Up to the first full stop that ends a sentence.
pub(super) fn first_sentence(docs: &str) -> String {
    let line = docs.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    match line.find(". ") {
        Some(end) => line[..=end].to_string(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! A module.\n\n/// A thing. More, see [`Other`](x::y).\n#[derive(Debug)]\npub struct Thing {\n    /// How\n    /// many.\n    \
        #[serde(default)]\n    pub count: Option<Kind>,\n}\n\n/// A kind.\npub enum Kind {\n    /// Plain.\n    PlainOne,\n    /// With a number.\n    \
        Of(f32),\n    /// With more.\n    Pair {\n        /// First.\n        a: usize,\n        /// Second.\n        b: bool,\n    },\n}\n";

    #[test]
    fn structs_and_enums_are_read() {
        let sources = Sources(vec![TEXT.into()]);
        let thing = sources.find("Thing").unwrap();
        assert_eq!(first_sentence(&plain(&thing.docs)), "A thing.");
        assert_eq!(plain(&thing.docs), "A thing. More, see `Other`.");
        let count = &thing.members[0];
        assert_eq!((count.json.as_str(), count.kind.as_str(), count.optional), ("count", "Option<Kind>", true));
        let json: Vec<_> = sources.find("Kind").unwrap().members.into_iter().map(|m| m.json).collect();
        assert_eq!(json, ["\"plain_one\"", "{\"of\": f32}", "{\"pair\": {\"a\": usize, \"b\": bool}}"]);
        let mut types = Vec::new();
        sources.mentioned(&thing, &mut types);
        assert_eq!(types, ["Kind"]);
        assert_eq!(sources.module_of("Thing").unwrap(), "A module.");
    }
}
