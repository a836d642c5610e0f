//! `cargo xtask docs`: docs/ops.md and the README's table of ops, from the registry and the specs' own documentation.

mod source;

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result, anyhow};
use gatefold_core::attention::{Dims, PRESETS};
use gatefold_core::routing::ROUTER_PRESETS;
use gatefold_core::{Op, Role, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;

use crate::shell;
use source::{Item, Sources, first_sentence, plain};

/// `cargo xtask docs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Docs {}

/// Marks of the README's table.
const BEGIN: &str = "<!-- ops -->";
const END: &str = "<!-- /ops -->";

/// What there is to say about an op.
struct Entry {
    /// Name in files, variants and errors.
    name: &'static str,
    /// Its spec and the documentation of its module.
    item: Item,
    module: String,
    inputs: Vec<&'static str>,
    outputs: Vec<&'static str>,
}

/// Operand names of some roles over many cases, each after those that it follows in a spec.
fn operands<O: Reference>(belongs: fn(Role) -> bool) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for seed in 0..O::PLANNED + 200 {
        let mut at = 0;
        for o in O::case(seed).op.operands().iter().filter(|o| belongs(o.role)) {
            match names.iter().position(|n| *n == o.name) {
                Some(known) => at = known + 1,
                None => {
                    names.insert(at, o.name);
                    at += 1;
                }
            }
        }
    }
    names
}

fn entry<O: Reference + Kernels>(sources: &Sources) -> Result<Entry> {
    let full = std::any::type_name::<O>();
    let item = full.rsplit("::").next().unwrap_or(full);
    let found = sources.find(item).ok_or_else(|| anyhow!("{item}: expected a documented spec in crates/core/src"))?;
    let module = sources.module_of(item).unwrap_or_default();
    let (inputs, outputs) = (operands::<O>(Role::is_given), operands::<O>(Role::is_made));
    Ok(Entry { name: O::NAME, item: found, module, inputs, outputs })
}

fn entries(sources: &Sources) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    macro_rules! each {
        ($($op:ty),*) => {$( all.push(entry::<$op>(sources)?); )*};
    }
    for_each_op!(each);
    Ok(all)
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" ")
}

/// The README's table.
fn table(entries: &[Entry]) -> String {
    let mut text = String::from("| op | what | inputs (those of the options in use) | outputs |\n|---|---|---|---|\n");
    for e in entries {
        let what = first_sentence(&plain(&e.item.docs));
        let _ = writeln!(
            text,
            "| [`{}`](docs/ops.md#{}) | {what} | {} | {} |",
            e.name,
            e.name,
            quoted(&e.inputs),
            quoted(&e.outputs)
        );
    }
    text
}

/// A table of a spec's fields or an enum's variants.
fn members(item: &Item) -> String {
    if item.members.is_empty() {
        return String::new();
    }
    let mut text = String::from(if item.is_enum { "| JSON | meaning |\n" } else { "| field | type | meaning |\n" });
    text.push_str(if item.is_enum { "|---|---|\n" } else { "|---|---|---|\n" });
    for m in &item.members {
        let meaning = plain(&m.docs).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let _ = match item.is_enum {
            true => writeln!(text, "| `{}` | {meaning} |", m.json),
            false => {
                let optional = if m.optional { " (optional)" } else { "" };
                writeln!(text, "| `{}` | `{}`{optional} | {meaning} |", m.json, m.kind)
            }
        };
    }
    text
}

/// The table of presets.
fn presets() -> String {
    let mut text = String::from(
        "\n## Presets\n\nAttentions by the names of the papers: `Attention::NAME(dims)`. Each is checked forward and backward by \
         `cargo xtask conformance`, and timed beside plain softmax by `cargo xtask bench --presets`.\n\n\
         | preset | what | source | label |\n|---|---|---|---|\n",
    );
    for p in PRESETS {
        let label = (p.build)(Dims::new(1, 1, 1, 1)).label();
        let _ = writeln!(text, "| `{}` | {} | {} | `{label}` |", p.name, p.title, p.source);
    }
    text
}

/// The table of published gates.
fn gates() -> String {
    let mut text = String::from(
        "\n## Gates\n\nRouters' gates by the names that they are known by: `TopKGate::NAME(tokens, experts, top_k)`. Each is checked forward and \
         backward by `cargo xtask conformance`.\n\n| gate | source | label at 256 experts, 8 a token |\n|---|---|---|\n",
    );
    for p in ROUTER_PRESETS {
        let _ = writeln!(text, "| `{}` | {} | `{}` |", p.name, p.source, (p.gate)(1, 256, 8).label());
    }
    text
}

/// The whole of docs/ops.md.
fn document(sources: &Sources, entries: &[Entry]) -> String {
    let mut text = String::from(
        "# Ops\n\nGenerated from the specs in `crates/core` by `cargo xtask docs`. A spec is a plain value in Rust and has this form in JSON; \
         fields marked optional may be left out. Layouts are contiguous and row-major.\n\n",
    );
    text.push_str(&table(entries).replace("docs/ops.md", ""));
    let (mut types, mut modules) = (Vec::new(), BTreeSet::new());
    for e in entries {
        let _ = write!(text, "\n## {}\n\n", e.name);
        if modules.insert(e.module.clone()) {
            let _ = writeln!(text, "{}\n", plain(&e.module).trim());
        }
        let _ = write!(text, "{}\n\n### Spec `{}`\n\n{}", plain(&e.item.docs).trim(), e.item.name, members(&e.item));
        sources.mentioned(&e.item, &mut types);
    }
    text.push_str(&presets());
    text.push_str(&gates());
    let specs: Vec<_> = entries.iter().map(|e| e.item.name.clone()).collect();
    text.push_str("\n## Types of the fields\n");
    for name in types.iter().filter(|t| !specs.contains(t)) {
        if let Some(item) = sources.find(name) {
            let _ = write!(text, "\n### {name}\n\n{}\n\n{}", plain(&item.docs).trim(), members(&item));
        }
    }
    text
}

/// The README with a fresh table.
fn with_table(readme: &str, table: &str) -> Result<String> {
    let begin = readme.find(BEGIN).ok_or_else(|| anyhow!("README.md: expected the line {BEGIN}"))? + BEGIN.len();
    let end = readme[begin..].find(END).ok_or_else(|| anyhow!("README.md: expected the line {END}"))? + begin;
    Ok(format!("{}\n{table}{}", &readme[..begin], &readme[end..]))
}

/// Path below the root, text that is there, text that should be.
type Generated = (&'static str, String, String);

fn generated() -> Result<Vec<Generated>> {
    let root = shell::root();
    let sources = Sources::read(&root.join("crates/core/src"))?;
    let entries = entries(&sources)?;
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    let mut all = vec![("docs/ops.md", read("docs/ops.md").unwrap_or_default(), document(&sources, &entries))];
    let readme = read("README.md").context("reading README.md")?;
    let fresh = with_table(&readme, &table(&entries))?;
    all.push(("README.md", readme, fresh));
    Ok(all)
}

/// Generated documents that are not up to date.
pub(crate) fn stale() -> Result<Vec<String>> {
    let stale = generated()?.into_iter().filter(|(_, is, should)| is != should);
    Ok(stale.map(|(path, ..)| format!("{path}: not up to date, run `cargo xtask docs`")).collect())
}

impl Docs {
    #[allow(clippy::unused_self, reason = "every task is run in the same way")]
    pub(crate) fn run(&self) -> Result<u8> {
        std::fs::create_dir_all(shell::root().join("docs")).context("making docs/")?;
        for (path, is, should) in generated()? {
            let changed = is != should;
            if changed {
                std::fs::write(shell::root().join(path), should).with_context(|| format!("writing {path}"))?;
            }
            println!("{path}: {}", if changed { "written" } else { "up to date" });
        }
        Ok(0)
    }
}
