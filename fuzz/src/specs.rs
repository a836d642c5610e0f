//! Specs from bytes: a case of the reference as JSON, of which some is replaced. So every option is reached that cases reach, in any combination,
//! and what the deserialiser or the validator refuses is part of what is tried.

use std::any::{Any, TypeId};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use gatefold_core::{Op, Tensors, for_each_op};
use gatefold_cpu_ref::Reference;
use serde_json::{Number, Value};

use crate::draw::{Draw, Sizes};

/// Cases that specs are made from: this many of the planned ones, and this many drawn ones.
const PLANNED: u64 = 32;
const DRAWN: u64 = 8;

/// Operand elements and multiply-adds of a case that is small enough to be evaluated thousands of times.
const MOST_ELEMENTS: u64 = 4096;
const MOST_FLOPS: f64 = 100_000.0;

/// What specs of an op are made from.
pub struct Pool<O> {
    /// Specs of cases, as JSON and as they are.
    pub specs: Vec<(Value, O)>,
    /// Those of small cases, with their inputs.
    pub small: Vec<(Value, O, Tensors)>,
    /// Every word that names a choice in one of them.
    words: Vec<String>,
}

/// Whether a valid spec is small enough to be evaluated.
pub fn is_small<O: Op>(op: &O) -> bool {
    let elements: u64 = op.operands().iter().map(|o| o.len() as u64).sum();
    elements <= MOST_ELEMENTS && op.cost().flops <= MOST_FLOPS
}

/// Every word of a value: its texts, and the names of its parts.
pub fn gather_words(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(word) => drop(words.insert(word.clone())),
        Value::Array(all) => all.iter().for_each(|v| gather_words(v, words)),
        Value::Object(all) => {
            for (name, v) in all {
                words.insert(name.clone());
                gather_words(v, words);
            }
        }
        _ => {}
    }
}

impl<O: Reference> Pool<O> {
    fn new() -> Self {
        let planned = O::PLANNED.min(PLANNED);
        let spread = (0..planned).map(|n| n * O::PLANNED / planned.max(1));
        let seeds = spread.chain(O::PLANNED..O::PLANNED + DRAWN);
        let mut pool = Self { specs: Vec::new(), small: Vec::new(), words: Vec::new() };
        let mut words = BTreeSet::new();
        for case in seeds.map(O::case) {
            // a spec with a function of the user's own may not survive being written
            let Ok(json) = serde_json::to_value(&case.op) else { continue };
            let Ok(op) = serde_json::from_value::<O>(json.clone()) else { continue };
            gather_words(&json, &mut words);
            if is_small(&op) && op.check_reference().is_ok() {
                pool.small.push((json.clone(), op.clone(), case.inputs));
            }
            pool.specs.push((json, op));
        }
        pool.words = words.into_iter().collect();
        assert!(!pool.small.is_empty(), "{}: no case is small", O::NAME);
        pool
    }

    /// The pool of an op, made at its first use.
    ///
    /// # Panics
    /// If no case of the op is small.
    pub fn of() -> &'static Self {
        type Pools = HashMap<TypeId, &'static (dyn Any + Send + Sync)>;
        static POOLS: Mutex<Option<Pools>> = Mutex::new(None);
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            pools.get_or_insert_default().entry(TypeId::of::<O>()).or_insert_with(|| Box::leak(Box::new(Self::new())));
        known.downcast_ref().unwrap_or_else(|| unreachable!("kept by its own type"))
    }
}

/// Makes the pools of all ops: seconds, which are no input's.
pub fn prepare() {
    macro_rules! each {
        ($($op:ty),*) => {$( Pool::<$op>::of(); )*};
    }
    for_each_op!(each);
}

/// Pointers to every part of a value, itself left out.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut inner = |name: &str, v: &Value| {
        let here = format!("{at}/{name}");
        pointers(v, &here, found);
        found.push(here);
    };
    match value {
        Value::Object(all) => all.iter().for_each(|(name, v)| inner(name, v)),
        Value::Array(all) => all.iter().enumerate().for_each(|(n, v)| inner(&n.to_string(), v)),
        _ => {}
    }
}

/// Another value for a part of a spec.
fn other_value(draw: &mut Draw<'_>, old: &Value, words: &[String], sizes: Sizes) -> Value {
    match old {
        Value::Bool(b) => Value::Bool(!b),
        Value::Number(n) if n.is_f64() => Number::from_f64(draw.float()).map_or(Value::Null, Value::Number),
        Value::Number(_) => Value::from(draw.sized(sizes)),
        Value::String(_) => Value::String(words[draw.below(words.len())].clone()),
        _ => match draw.byte() % 6 {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Number::from_f64(draw.float()).map_or(Value::Null, Value::Number),
            3 => Value::from(draw.sized(sizes)),
            4 => Value::Array(vec![Value::from(draw.sized(sizes)); draw.below(4)]),
            _ if words.is_empty() => Value::Null,
            _ => Value::String(words[draw.below(words.len())].clone()),
        },
    }
}

/// Replaces parts of a value, as many as the bytes say: by a value of the same kind, or by what stands there in one of the others.
pub fn mutate<'a>(
    draw: &mut Draw<'_>,
    mut value: Value,
    other: impl Fn(&mut Draw<'_>) -> &'a Value,
    words: &[String],
    sizes: Sizes,
) -> Value {
    for _ in 0..draw.byte() % 6 {
        let mut all = Vec::new();
        pointers(&value, "", &mut all);
        if all.is_empty() {
            return value;
        }
        let pointer = &all[draw.below(all.len())];
        let theirs = if draw.byte().is_multiple_of(2) { other(draw).pointer(pointer).cloned() } else { None };
        let Some(part) = value.pointer_mut(pointer) else { continue };
        *part = theirs.unwrap_or_else(|| other_value(draw, part, words, sizes));
    }
    value
}

/// A spec of an op with parts replaced; `None` if the deserialiser refuses it.
fn mutated<O: Reference>(draw: &mut Draw<'_>, base: &Value, sizes: Sizes) -> Option<O> {
    let pool = Pool::<O>::of();
    let other = |draw: &mut Draw<'_>| &pool.specs[draw.below(pool.specs.len())].0;
    serde_json::from_value(mutate(draw, base.clone(), other, &pool.words, sizes)).ok()
}

/// A spec of any size, not validated; `None` if the deserialiser refuses what the bytes say.
pub fn any<O: Reference>(draw: &mut Draw<'_>) -> Option<O> {
    let pool = Pool::<O>::of();
    let base = &pool.specs[draw.below(pool.specs.len())].0;
    mutated(draw, base, Sizes::Any)
}

/// A valid spec that is small enough to be evaluated, has a reference, and inputs that it may have been drawn with: those of the case that it is made
/// from, which need not fit it any more. Says whether they are untouched.
pub fn small<O: Reference>(draw: &mut Draw<'_>) -> Option<(O, &'static Tensors, bool)> {
    let pool = Pool::<O>::of();
    let (json, base, inputs) = &pool.small[draw.below(pool.small.len())];
    let op: O = mutated(draw, json, Sizes::Small)?;
    let is_same = op == *base;
    op.validate().ok()?;
    (is_small(&op) && op.check_reference().is_ok()).then_some((op, inputs, is_same))
}
