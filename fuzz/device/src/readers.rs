//! Target 4: files against their readers.

use gatefold_cpu_ref::Reference;
use gatefold_fuzz::draw::Draw;
use gatefold_fuzz::ops::{Visit, visit};
use gatefold_shaders::Kernels;
use gatefold_tests::expectations::Expectations;
use gatefold_tests::report::Report;
use gatefold_tests::vectors::archive::Archive;
use gatefold_tests::vectors::job::Stop;
use gatefold_tests::vectors::read_case;
use gatefold_wgpu::Tuning;

use crate::archives::{Own, foreign};

/// Files that may come from anywhere (vectors, specs, tunings, reports) are read or refused in words. The programme's allocator refuses a gibibyte.
pub fn readers(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    match draw.byte() % 8 {
        0 => visit(draw.rest(), Spec),
        1 => file(draw.rest()),
        2 => file(&with_length(draw.rest())),
        3 => texts(&String::from_utf8_lossy(draw.rest())),
        4 => visit(draw.rest(), Own(|made: &Archive| read(made))),
        _ => read(&foreign(&mut draw)),
    }
}

/// The text of a spec.
struct Spec;

impl Visit for Spec {
    fn visit<O: Reference + Kernels>(self, draw: Draw<'_>) {
        match serde_json::from_slice::<O>(draw.rest()) {
            Ok(op) => drop(op.validate()),
            Err(e) => assert!(!e.to_string().is_empty()),
        }
    }
}

/// A vector file.
fn file(bytes: &[u8]) {
    match Archive::parse("fuzzed", bytes) {
        Ok(made) => read(&made),
        Err(e) => assert!(!e.is_empty()),
    }
}

/// The length of a header that ends at the first zero, then header and data: so that not every byte in between has to be counted.
fn with_length(bytes: &[u8]) -> Vec<u8> {
    let header = bytes.split(|&b| b == 0).next().unwrap_or_default();
    let data = bytes.get(header.len() + 1..).unwrap_or_default();
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// The case of a vector file.
fn read(made: &Archive) {
    match read_case(made) {
        Ok(case) => assert!(!case.jobs.is_empty() || !case.notes.is_empty() || case.wants.is_empty()),
        Err(Stop::NotSupported(why) | Stop::Wrong(why)) => assert!(!why.is_empty()),
    }
}

/// Other files that are text.
fn texts(text: &str) {
    if let Ok(tuning) = Tuning::from_json(text) {
        assert_eq!(
            Tuning::from_json(&tuning.to_json()).as_ref(),
            Ok(&tuning),
            "a tuning that is another when read again"
        );
    }
    if let Ok(report) = serde_json::from_str::<Report>(text) {
        assert!(!report.to_string().is_empty());
    }
    assert!(Expectations::parse(text).err().is_none_or(|e| !e.is_empty()));
}
