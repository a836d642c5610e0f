//! A user's own slots: their text in place of a slot file, looked through before anything is planned on it.
//!
//! A text is checked by itself, so that it can use nothing of Gatefold's and its faults have its own line numbers; then against the words of
//! the files that it is linked with. Its hash is part of every variant's name that it is linked to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use gatefold_core::Attention;
use naga::valid::Capabilities;
use naga::{Scalar, TypeInner};

use super::files;
use crate::link::{parse, validate};
use crate::{PlanError, Source, Step};

/// A function that a slot must have, the text that it is in, and its arguments and result.
struct Contract {
    function: &'static str,
    file: &'static str,
    arguments: &'static [Scalar],
    result: Scalar,
    form: &'static str,
}

const PLACE: [Scalar; 4] = [Scalar::U32; 4];
const SCORE: [Scalar; 5] = [Scalar::F32, Scalar::U32, Scalar::U32, Scalar::U32, Scalar::U32];

const PHI: Contract = Contract {
    function: "phi",
    file: "custom/weight.wgsl",
    arguments: &[Scalar::F32],
    result: Scalar::F32,
    form: "fn phi(z: f32) -> f32",
};
const PHI_SLOPE: Contract =
    Contract { function: "phi_slope", file: "custom/weight_slope.wgsl", form: "fn phi_slope(z: f32) -> f32", ..PHI };
const SCORE_MOD: Contract = Contract {
    function: "score_mod",
    file: "custom/score_mod.wgsl",
    arguments: &SCORE,
    result: Scalar::F32,
    form: "fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32",
};
const SCORE_MOD_SLOPE: Contract = Contract {
    function: "score_mod_slope",
    file: "custom/score_mod_slope.wgsl",
    form: "fn score_mod_slope(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32",
    ..SCORE_MOD
};
const MASK_MOD: Contract = Contract {
    function: "mask_mod",
    file: "custom/mask_mod.wgsl",
    arguments: &PLACE,
    result: Scalar::BOOL,
    form: "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool",
};
const CONTRACTS: [&Contract; 5] = [&PHI, &PHI_SLOPE, &SCORE_MOD, &SCORE_MOD_SLOPE, &MASK_MOD];

/// What a text may declare.
const DECLARATIONS: [&str; 4] = ["fn", "const", "struct", "alias"];
/// What it may not: whatever is not a function of its arguments.
const REFUSED: [&str; 10] = [
    "var",
    "override",
    "enable",
    "requires",
    "diagnostic",
    "compute",
    "vertex",
    "fragment",
    "workgroupBarrier",
    "storageBarrier",
];

/// The same text for the rest of the process: sources and names are static, so each distinct one is kept, once.
pub(super) fn interned(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&found) = known.get(text) {
        return found;
    }
    let kept: &'static str = text.to_owned().leak();
    known.insert(kept);
    kept
}

/// FNV-1a over the texts, as in names.
fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// A user's texts of one slot with their contracts: the function's, and its derivative's if there is one.
type Texts<'a> = Vec<(&'static Contract, &'a str)>;

/// The texts of the weight, of the modifier and of the mask; none for a slot that is not the user's.
fn texts(a: &Attention) -> [Texts<'_>; 3] {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    if let Some(w) = &a.custom.weight {
        all[0].push((&PHI, w.function.wgsl()));
        all[0].extend(w.slope.as_ref().map(|s| (&PHI_SLOPE, s.wgsl())));
    }
    if let Some(m) = &a.custom.score_mod {
        all[1].push((&SCORE_MOD, m.function.wgsl()));
        all[1].extend(m.slope.as_ref().map(|s| (&SCORE_MOD_SLOPE, s.wgsl())));
    }
    if let Some(m) = &a.custom.mask_mod {
        all[2].push((&MASK_MOD, m.function.wgsl()));
    }
    all
}

/// Whether none of these files is a user's function: nothing is known about what one does, and it always runs with all checks.
pub(super) fn is_ours(slots: &[Source]) -> bool {
    slots.iter().all(|file| !file.path.starts_with("custom/"))
}

/// The user's texts, each followed by the slot file that calls it.
fn sources(texts: &Texts<'_>, callers: [Source; 2]) -> Vec<Source> {
    let own = texts.iter().map(|(contract, text)| Source { path: contract.file, text: interned(text) });
    own.zip(callers).flat_map(|(own, caller)| [own, caller]).collect()
}

/// Files of slot phi.
pub(super) fn phi(a: &Attention) -> Vec<Source> {
    sources(&texts(a)[0], [files::PHI_CUSTOM, files::PHI_SLOPE])
}

/// Name of the weight in variant names: with the hash of its text, if it is the user's.
pub(super) fn weight_label(a: &Attention) -> String {
    let [weight, ..] = texts(a);
    if weight.is_empty() { a.weight.label() } else { format!("custom_{}", hash(weight.iter().map(|t| t.1))) }
}

/// Files of a slot, and its part of the variant's name.
fn slot(texts: &Texts<'_>, none: Source, callers: [Source; 2]) -> (Vec<Source>, &'static str) {
    match texts.first() {
        None => (vec![none], ""),
        Some((contract, _)) => {
            let part = format!(".{}_{}", contract.function, hash(texts.iter().map(|t| t.1)));
            (sources(texts, callers), interned(&part))
        }
    }
}

pub(super) fn score_mod(a: &Attention) -> (Vec<Source>, &'static str) {
    slot(&texts(a)[1], files::SCORE_MOD_NONE, [files::SCORE_MOD_CUSTOM, files::SCORE_MOD_SLOPE])
}

/// The caller of the user's mask, or what stands in its place.
pub(super) fn mask_mod(a: &Attention, none: Source, caller: Source) -> (Vec<Source>, &'static str) {
    slot(&texts(a)[2], none, [caller; 2])
}

/// A word of a text: its line from 1, and how many braces it is inside of.
struct Word<'a> {
    text: &'a str,
    line: usize,
    depth: usize,
}

/// The words of a text, comments left out: a comment in `/* */` may hold others.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let (mut depth, mut comment) = (0usize, 0usize);
    for (number, line) in text.lines().enumerate() {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match c {
                _ if rest.starts_with("/*") => {
                    comment += 1;
                    2
                }
                _ if comment > 0 && rest.starts_with("*/") => {
                    comment -= 1;
                    2
                }
                _ if comment > 0 => c.len_utf8(),
                _ if rest.starts_with("//") => rest.len(),
                _ if word > 0 => {
                    found.push(Word { text: &rest[..word], line: number + 1, depth });
                    word
                }
                _ => {
                    depth = if c == '}' { depth.saturating_sub(1) } else { depth + usize::from(c == '{') };
                    c.len_utf8()
                }
            };
            rest = &rest[length..];
        }
    }
    found
}

/// Names that a text declares outside of functions, and where.
fn declared(text: &str) -> Vec<(&str, usize)> {
    let words = words(text);
    let pairs = words.windows(2).filter(|w| w[0].depth == 0 && DECLARATIONS.contains(&w[0].text));
    pairs.map(|w| (w[1].text, w[1].line)).collect()
}

impl Contract {
    fn fault(&self, line: usize, message: impl Into<String>) -> PlanError {
        PlanError::Wgsl { function: self.function, file: self.file, line, message: message.into() }
    }

    /// Whether the function is there, with the arguments and the result that the slot calls it by.
    fn find(&self, text: &str, module: &naga::Module) -> Result<(), PlanError> {
        let Some((_, f)) = module.functions.iter().find(|(_, f)| f.name.as_deref() == Some(self.function)) else {
            return Err(self.fault(1, format!("expected `{}`, there is no such function", self.form)));
        };
        let is = |ty: naga::Handle<naga::Type>, scalar: Scalar| module.types[ty].inner == TypeInner::Scalar(scalar);
        let fits = f.arguments.len() == self.arguments.len()
            && f.arguments.iter().zip(self.arguments).all(|(given, &wanted)| is(given.ty, wanted))
            && f.result.as_ref().is_some_and(|r| is(r.ty, self.result));
        if fits {
            return Ok(());
        }
        let line = declared(text).iter().find(|(name, _)| *name == self.function).map_or(1, |(_, line)| *line);
        Err(self.fault(line, format!("expected `{}`, it has other arguments or another result", self.form)))
    }

    /// What no text may hold: words that are more than a function of a pair.
    fn check_words(&self, text: &str) -> Result<(), PlanError> {
        for word in words(text) {
            let barrier = word.text.ends_with("Barrier") || word.text.starts_with("subgroup");
            if (word.depth == 0 && REFUSED.contains(&word.text)) || barrier {
                let message =
                    format!("`{}`: only functions of their arguments, constants and types are taken", word.text);
                return Err(self.fault(word.line, message));
            }
        }
        Ok(())
    }
}

/// Checks the texts of one slot by themselves: the derivative's sees what the function's declares.
fn check_slot(texts: &Texts<'_>) -> Result<(), PlanError> {
    // Not first in its text, no text can hold a directive.
    let mut whole = String::from("const_assert true;\n");
    for (contract, text) in texts {
        contract.check_words(text)?;
        let first = whole.matches('\n').count();
        whole.push_str(text);
        whole.push('\n');
        let fault = |(span, message): (naga::Span, String)| {
            let line = span.to_range().map_or(0, |r| whole[..r.start.min(whole.len())].matches('\n').count());
            contract.fault((line + 1).saturating_sub(first).clamp(1, text.lines().count().max(1)), message)
        };
        let module = parse(&whole).map_err(fault)?;
        validate(&module, Capabilities::empty()).map_err(fault)?;
        contract.find(text, &module)?;
    }
    Ok(())
}

/// Checks every text by itself.
///
/// # Errors
/// [`PlanError::Wgsl`] with the function and the line.
pub(super) fn check(a: &Attention) -> Result<(), PlanError> {
    texts(a).iter().try_for_each(check_slot)
}

/// Checks that nothing the user declares has a name that another text of a step uses.
///
/// # Errors
/// [`PlanError::Wgsl`] with the function and the line of the declaration.
pub(super) fn check_names(steps: &[Step]) -> Result<(), PlanError> {
    let contract = |s: &Source| CONTRACTS.into_iter().find(|c| c.file == s.path);
    for step in steps.iter().filter(|s| s.slots.iter().any(|s| contract(s).is_some())) {
        let all = || std::iter::once(&step.kernel).chain(&step.slots);
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        taken.extend(
            step.consts.iter().map(|c| (c.0, "Gatefold")).chain(step.aliases.iter().map(|a| (a.0, "Gatefold"))),
        );
        for s in all().filter(|s| contract(s).is_none()) {
            taken.extend(words(s.text).iter().map(|w| (w.text, "Gatefold")));
        }
        for (own, s) in all().filter_map(|s| contract(s).map(|c| (c, s))) {
            for (name, line) in declared(s.text).into_iter().filter(|(name, _)| *name != own.function) {
                if let Some(by) = taken.insert(name, own.function) {
                    return Err(own.fault(line, format!("`{name}`: this name is taken by {by}, choose another")));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gatefold_core::attention::{Dims, MaskMod, ScoreMod, Weight};
    use gatefold_core::{AttentionBackward, Dtype};

    use super::*;
    use crate::{Kernels, Limits, MatrixUnit};

    fn plain() -> Attention {
        Attention::softmax(Dims::new(1, 2, 40, 16))
    }

    fn masked(wgsl: &str) -> Attention {
        plain().with_mask_mod(MaskMod::custom("m", wgsl, |_, _, _, _| true))
    }

    fn refused(a: &Attention) -> (&'static str, &'static str, usize, String) {
        match a.plan(&Limits::webgpu_default()).unwrap_err() {
            PlanError::Wgsl { function, file, line, message } => (function, file, line, message),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn faults_have_the_users_own_lines() {
        let head = "// whose document\nfn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool {\n";
        for (body, line, word) in [
            ("    return i / 8u = j / 8u;\n}\n", 3, "expected"),
            ("    let d = i / 8u;\n    return d == f32(j);\n}\n", 4, ""),
            ("    return i == params.seq_q;\n}\n", 3, "params"),
            ("    workgroupBarrier();\n    return true;\n}\n", 3, "workgroupBarrier"),
            ("    return true;\n}\n\nvar<private> seen: u32;\n", 6, "var"),
            ("    return true;\n}\n/* a note\n*/ fn accumulate() {}\n", 6, "Gatefold"),
            ("    return true;\n}\nfn mask_mod() {}\n", 5, "redefinition"),
            ("    return true;\n", 3, ""),
        ] {
            let (function, file, at, message) = refused(&masked(&format!("{head}{body}")));
            assert_eq!((function, file), ("mask_mod", "custom/mask_mod.wgsl"));
            assert!(at.abs_diff(line) <= usize::from(word.is_empty()), "{body}: line {at}, {message}");
            assert!(message.contains(word), "{message}");
        }
        for text in ["", "fn mask(i: u32) -> bool { return true; }", "enable f16;", "/* never closed"] {
            assert_eq!(refused(&masked(text)).2, 1, "{text}");
        }
        let (_, _, line, message) = refused(&masked("\nfn mask_mod(i: u32, j: u32) -> bool { return true; }"));
        assert!(line == 2 && message.contains("fn mask_mod(batch: u32"), "{message}");
    }

    #[test]
    fn a_derivative_sees_its_function() {
        let weight = |slope: &str| {
            let text =
                "fn bump(z: f32) -> f32 { return 1.0 / (1.0 + z * z); }\nfn phi(z: f32) -> f32 { return bump(z); }\n";
            plain().with_weight(Weight::custom("b", text, |z| z).with_slope(slope, |z| z))
        };
        let sound = weight("fn phi_slope(z: f32) -> f32 { return -2.0 * z * bump(z) * bump(z); }");
        let plan = AttentionBackward::new(sound).plan(&Limits::webgpu_default()).unwrap();
        assert!(plan.steps.iter().all(|s| crate::link::link(s).is_ok()));
        let (function, file, line, _) = refused(&weight("\nfn phi_slope(z: f32) -> f32 { return bum(z); }"));
        assert_eq!((function, file, line), ("phi_slope", "custom/weight_slope.wgsl", 2));
    }

    #[test]
    fn texts_are_told_apart_by_name() {
        let of = |text: &str| masked(text).plan(&Limits::webgpu_default()).unwrap();
        let form = "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool";
        let (a, b) = (of(&format!("{form} {{ return i == j; }}")), of(&format!("{form} {{ return i != j; }}")));
        let with_text = |plan: &crate::Plan| -> Vec<String> {
            let own = |s: &&Step| s.slots.iter().any(|s| s.path == MASK_MOD.file);
            plan.steps.iter().filter(own).map(|s| s.name.clone()).collect()
        };
        assert_eq!(with_text(&a).len(), 2);
        assert!(with_text(&a).iter().zip(with_text(&b)).all(|(a, b)| *a != b));
    }

    #[test]
    fn matrix_units_are_refused_with_a_reason() {
        let unit = Some(MatrixUnit { edge: 16, lanes: 64 });
        let limits = Limits { f16: true, matrix: unit, workgroup_memory: 32 << 10, ..Limits::webgpu_default() };
        let half = Attention { dtype: Dtype::F16, ..Attention::softmax(Dims::new(1, 2, 40, 64)) };
        let text = "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool { return i != j; }";
        let own = half.clone().with_mask_mod(MaskMod::custom("m", text, |_, _, i, j| i != j));
        let of = |a: &Attention| a.plan(&limits).unwrap();
        let reason = |plan: &crate::Plan| plan.reasons.iter().any(|r| r.starts_with("no matrix units: functions of"));
        assert!(of(&half).rounds_weights && !reason(&of(&half)));
        assert!(!of(&own).rounds_weights && reason(&of(&own)));
        assert!(of(&own).steps.iter().all(|s| !s.matrix && s.proven == is_ours(&s.slots)));
        assert!(of(&own).steps.iter().any(|s| !s.proven));
    }

    #[test]
    fn helpers_of_two_slots_have_two_names() {
        let a = masked(
            "fn far(i: u32) -> bool { return i > 3u; }\nfn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool { return far(i); }",
        );
        let form = "fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 { return score; }\n";
        let score_mod = ScoreMod::custom("s", format!("{form}\nconst far: f32 = 2.0;\n"), |s, _, _, _, _| s);
        let (function, _, line, message) = refused(&a.with_score_mod(score_mod));
        assert!(message.contains("far"), "{message}");
        assert_eq!((function, line), ("mask_mod", 1));
    }
}
