//! The pipeline cache on disk: used if it is whole and of this driver, else ignored with a reason. Never a failure.

mod fixture;

use std::path::{Path, PathBuf};

use fixture::{double, doubled, numbers};
use gatefold_wgpu::{Gpu, Options, PipelineCacheState, RunOptions};

/// An empty folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gatefold-cache-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn open(folder: &Path) -> Gpu {
    let options = Options { probe: false, pipeline_cache: Some(folder.into()), ..Options::default() };
    let gpu = Gpu::open(&options).unwrap();
    let (plan, operands) = double(100);
    let ran = gpu.run_plan(&plan, &operands, &numbers(100, 0), &RunOptions::default()).unwrap();
    assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(100, 0));
    println!("{}", gpu.pipeline_cache());
    gpu
}

/// The one file in a folder.
fn file(folder: &Path) -> PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn a_cache_is_written_and_read_and_a_bad_one_ignored() {
    let folder = folder("round");
    let gpu = open(&folder);
    if let PipelineCacheState::Unavailable { reason } = gpu.pipeline_cache() {
        // Software drivers and browsers may have none; then there is no file either.
        assert!(!reason.is_empty() && gpu.save_pipeline_cache().unwrap() == 0 && !folder.exists());
        return;
    }
    assert_eq!(*gpu.pipeline_cache(), PipelineCacheState::New);
    let bytes = gpu.save_pipeline_cache().unwrap();
    assert_eq!(*open(&folder).pipeline_cache(), PipelineCacheState::Loaded { bytes });
    let good = std::fs::read(file(&folder)).unwrap();

    let other = String::from_utf8_lossy(&good[16..25]).replace("gatefold ", "somebody ").into_bytes();
    let foreign = [&good[..16], &other, &good[25..]].concat();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (bad, why) in [
        (&b"nothing of ours"[..], "not a pipeline cache"),
        (&[], "cut off"),
        (&good[..good.len() - 1], "cut off"),
        (&damaged, "damaged"),
        (&foreign, "[somebody "),
    ] {
        std::fs::write(file(&folder), bad).unwrap();
        let gpu = open(&folder);
        let PipelineCacheState::Ignored { reason } = gpu.pipeline_cache() else { panic!("{}", gpu.pipeline_cache()) };
        assert!(reason.contains(why), "{reason}");
        // Dropped, it writes a good file in place of the bad one.
        drop(gpu);
        assert!(matches!(open(&folder).pipeline_cache(), PipelineCacheState::Loaded { .. }));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_folder_that_cannot_be_is_no_failure() {
    let blocked = folder("blocked");
    std::fs::write(&blocked, "a file where the folder should be").unwrap();
    let gpu = open(&blocked);
    assert!(matches!(gpu.pipeline_cache(), PipelineCacheState::Unavailable { .. }), "{}", gpu.pipeline_cache());
    drop(gpu);
    std::fs::remove_file(&blocked).unwrap();
}

#[test]
fn without_the_option_there_is_no_cache() {
    let gpu = fixture::gpu();
    assert_eq!(*gpu.pipeline_cache(), PipelineCacheState::Off);
    assert_eq!(gpu.save_pipeline_cache().unwrap(), 0);
}
