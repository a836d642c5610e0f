//! Vector files from bytes: one of the golden ones, or one of our own form, with its case or its arrays changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gatefold_core::Tensor;
use gatefold_cpu_ref::Reference;
use gatefold_fuzz::draw::{Draw, Sizes};
use gatefold_fuzz::ops::Visit;
use gatefold_fuzz::specs::{Pool, gather_words, mutate};
use gatefold_shaders::Kernels;
use gatefold_tests::vectors::archive::{Archive, Array};
use serde_json::{Value, json};

/// Longest golden file that others are made from, bytes.
const LONGEST: u64 = 6_000;

/// Most elements of an array that is made.
const MOST: usize = 1 << 12;

struct Golden {
    files: Vec<Archive>,
    words: Vec<String>,
}

fn paths(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())) {
        if path.is_dir() {
            paths(&path, found);
        } else if path.extension().is_some_and(|e| e == "safetensors")
            && path.metadata().is_ok_and(|m| m.len() <= LONGEST)
        {
            found.push(path);
        }
    }
}

/// A case of the form of web platform tests, of which none lies in the repository.
fn webnn(like: &Archive, op: &str, arguments: Value) -> Archive {
    let case = json!({"op": op, "arguments": arguments, "tolerance": ["ULP", 3]});
    let array = like.arrays.values().find_map(|a| a.as_ref().ok().filter(|a| a.is_float())).cloned();
    let array = array.unwrap_or_else(|| unreachable!("every golden file has floats"));
    let arrays = ["in.0.a", "in.1.b", "out.0.c", "f64.0.c"].map(|name| (name.to_string(), Ok(array.clone())));
    Archive { name: op.into(), case, arrays: arrays.into_iter().collect() }
}

fn golden() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let mut found = Vec::new();
        paths(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), &mut found);
        found.sort();
        let mut files: Vec<_> =
            found.iter().map(|p| Archive::read(p).unwrap_or_else(|e| panic!("{}: {e}", p.display()))).collect();
        let like = files[0].clone();
        files.push(webnn(&like, "matmul", json!({"a": "a", "b": "b"})));
        let mut rows = webnn(&like, "softmax", json!({"axis": 1}));
        rows.arrays.remove("in.1.b");
        files.push(rows.clone());
        (rows.name, rows.case["op"], rows.case["arguments"]) =
            ("sum".into(), json!("reduce_log_sum_exp"), json!({"options": {"axes": [0]}}));
        files.push(rows);
        let mut words = BTreeSet::new();
        files.iter().for_each(|f| gather_words(&f.case, &mut words));
        Golden { files, words: words.into_iter().collect() }
    })
}

/// Reads the golden files.
pub(crate) fn prepare() {
    golden();
}

/// A dimension.
fn size(draw: &mut Draw<'_>) -> usize {
    usize::try_from(draw.size()).unwrap_or(usize::MAX)
}

/// Another shape, and as many elements as it has; the array as it is if that would be large.
fn reshape(draw: &mut Draw<'_>, array: &mut Array) {
    let mut dims = array.dims.clone();
    match draw.byte() % 5 {
        0 => dims.push(size(draw)),
        1 => drop(dims.pop()),
        2 => dims.insert(0, 1),
        _ if dims.is_empty() => dims.push(1),
        _ => {
            let at = draw.below(dims.len());
            dims[at] = size(draw);
        }
    }
    let count = if dims.contains(&0) { Some(0) } else { dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) };
    let Some(count) = count.filter(|&n| n <= MOST) else { return };
    let mut values = array.values.clone();
    values.resize(count, 0.5);
    // as files are read
    if let Ok(made) = Array::new(&dims, array.dtype, values) {
        *array = made;
    }
}

fn change(draw: &mut Draw<'_>, file: &mut Archive) {
    let names: Vec<_> = file.arrays.keys().cloned().collect();
    for _ in 0..draw.byte() % 4 {
        if names.is_empty() {
            return;
        }
        let name = &names[draw.below(names.len())];
        let other = &names[draw.below(names.len())];
        let other = file.arrays.get(other).and_then(|a| a.clone().ok());
        let Some(Ok(array)) = file.arrays.get_mut(name) else { continue };
        match draw.byte() % 6 {
            0 => drop(file.arrays.remove(name)),
            1 => file.arrays.insert(name.clone(), Err("element type F8".into())).map_or((), drop),
            2 => array.dtype = other.map_or(array.dtype, |o| o.dtype),
            3 if !array.values.is_empty() => {
                let at = draw.below(array.values.len());
                array.values[at] = if draw.one_in(4) { f64::NAN } else { draw.float() };
            }
            4 => *array = other.unwrap_or_else(|| array.clone()),
            _ => reshape(draw, array),
        }
    }
}

/// One of the golden files, changed.
pub(crate) fn foreign(draw: &mut Draw<'_>) -> Archive {
    let Golden { files, words } = golden();
    let mut file = files[draw.below(files.len())].clone();
    let other = |draw: &mut Draw<'_>| &files[draw.below(files.len())].case;
    file.case = mutate(draw, file.case.clone(), other, words, Sizes::Any);
    change(draw, &mut file);
    file
}

fn array(t: &Tensor, like: &Archive) -> Option<Array> {
    let dtype = like.arrays.values().find_map(|a| a.as_ref().ok().filter(|a| a.storage() == t.dtype()))?.dtype;
    Some(Array { dims: t.dims().to_vec(), dtype, values: t.to_f64() })
}

/// Makes a file of our own form, changes it and gives it to a function.
pub(crate) struct Own<F>(pub(crate) F);

impl<F: FnOnce(&Archive)> Visit for Own<F> {
    fn visit<O: Reference + Kernels>(self, mut draw: Draw<'_>) {
        let pool = Pool::<O>::of();
        let (spec, _, inputs) = &pool.small[draw.below(pool.small.len())];
        let case = json!({"op": O::NAME, "spec": spec});
        let mut file = Archive { name: O::NAME.into(), case, arrays: Default::default() };
        for (name, t) in inputs.iter() {
            let made = golden().files.iter().find_map(|like| array(t, like));
            file.arrays.extend(made.map(|a| (name.to_string(), Ok(a))));
        }
        let other = |draw: &mut Draw<'_>| &golden().files[draw.below(golden().files.len())].case;
        file.case = mutate(&mut draw, file.case.clone(), other, &golden().words, Sizes::Any);
        change(&mut draw, &mut file);
        (self.0)(&file);
    }
}
