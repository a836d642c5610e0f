//! The driver's compiled pipelines on disk, for the next process: a file per adapter, used only if it is whole and of this driver.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::device::{Call, Handle, Site, cached};
use crate::{AdapterSummary, RunError};

/// What became of [`Options::pipeline_cache`](crate::Options::pipeline_cache).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PipelineCacheState {
    /// Not asked for.
    Off,
    /// The device has no [`PIPELINE_CACHE`](wgpu::Features::PIPELINE_CACHE), or the driver gave none.
    Unavailable {
        /// Why, in words.
        reason: String,
    },
    /// There was no file: the cache begins empty.
    New,
    /// The file was read.
    Loaded {
        /// Bytes of the driver's data.
        bytes: usize,
    },
    /// There was a file that must not be used: the cache begins empty, and replaces it.
    Ignored {
        /// Why, in words.
        reason: String,
    },
}

impl fmt::Display for PipelineCacheState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("pipeline cache: off"),
            Self::Unavailable { reason } => write!(f, "pipeline cache: not available ({reason})"),
            Self::New => f.write_str("pipeline cache: new"),
            Self::Loaded { bytes } => write!(f, "pipeline cache: {bytes} bytes read"),
            Self::Ignored { reason } => write!(f, "pipeline cache: file ignored ({reason})"),
        }
    }
}

/// First bytes of a file, with the version of its layout: then length and text of the identity, checksum and length of the data, the data.
const MAGIC: &[u8; 8] = b"GFPIPES1";

/// FNV-1a over the bytes.
fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// What a cache is good for: this version of this crate, this adapter, this driver.
fn identity(adapter: &AdapterSummary) -> String {
    let AdapterSummary { name, driver, driver_info, backend, .. } = adapter;
    format!("gatefold {} | {name} | {driver} {driver_info} | {backend}", env!("CARGO_PKG_VERSION"))
}

fn pack(identity: &str, data: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.extend((identity.len() as u64).to_le_bytes());
    file.extend(identity.as_bytes());
    file.extend(checksum(data).to_le_bytes());
    file.extend((data.len() as u64).to_le_bytes());
    file.extend(data);
    file
}

/// The driver's data in a file, or why it must not be used.
fn unpack<'a>(mut file: &'a [u8], identity: &str) -> Result<&'a [u8], String> {
    let mut take = |bytes: usize| {
        let (head, rest) = file.split_at_checked(bytes).ok_or_else(|| "it is cut off".to_owned())?;
        file = rest;
        Ok::<_, String>(head)
    };
    let number = |head: &[u8]| head.try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
    let size = |head: &[u8]| usize::try_from(number(head)).unwrap_or(usize::MAX);
    if take(MAGIC.len())? != MAGIC {
        return Err("it is not a pipeline cache of this layout".into());
    }
    let length = size(take(8)?);
    let made_for = take(length)?;
    if made_for != identity.as_bytes() {
        return Err(format!("it is for [{}], this is [{identity}]", String::from_utf8_lossy(made_for)));
    }
    let sum = number(take(8)?);
    let length = size(take(8)?);
    let data = take(length)?;
    if !file.is_empty() || checksum(data) != sum {
        return Err("it is damaged: its checksum is wrong".into());
    }
    Ok(data)
}

/// The cache of one device. Written when dropped, if a pipeline was built since.
#[derive(Debug)]
pub(crate) struct DiskCache {
    handle: Arc<Handle>,
    cache: wgpu::PipelineCache,
    path: PathBuf,
    identity: String,
    changed: AtomicBool,
}

/// Makes the driver's cache from `data`, which [`DiskCache::save`] has written.
async fn create(handle: &Handle, data: Option<&[u8]>) -> Result<wgpu::PipelineCache, RunError> {
    #[allow(unsafe_code, reason = "the handle cannot prove where the bytes come from")]
    // SAFETY: the bytes are what `cached` gave for this adapter, driver and version of this crate: `unpack` has compared the identity and
    // the checksum that `save` wrote with them.
    unsafe { handle.open_cache(data) }.await
}

impl DiskCache {
    /// Opens the cache of an adapter in a folder. Never fails: without a cache, pipelines are built as ever.
    pub(crate) async fn open(
        handle: &Arc<Handle>,
        folder: Option<&Path>,
        info: &wgpu::AdapterInfo,
        adapter: &AdapterSummary,
    ) -> (Option<Self>, PipelineCacheState) {
        let unavailable = |reason: &str| (None, PipelineCacheState::Unavailable { reason: reason.into() });
        let Some(folder) = folder else { return (None, PipelineCacheState::Off) };
        if !handle.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return unavailable("the device was opened without PIPELINE_CACHE");
        }
        let Some(key) = wgpu::util::pipeline_cache_key(info) else {
            return unavailable("this graphics interface has none");
        };
        let (path, identity) = (folder.join(key), identity(adapter));
        let file = match std::fs::read(&path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return unavailable(&format!("{}: {e}", path.display())),
        };
        let (mut data, mut state) = (None, PipelineCacheState::New);
        match file.as_deref().map(|file| unpack(file, &identity)) {
            None => {}
            Some(Ok(whole)) => (data, state) = (Some(whole), PipelineCacheState::Loaded { bytes: whole.len() }),
            Some(Err(reason)) => state = PipelineCacheState::Ignored { reason },
        }
        let mut made = create(handle, data).await;
        if let (Err(error), Some(_)) = (&made, data) {
            state = PipelineCacheState::Ignored { reason: error.to_string() };
            made = create(handle, None).await;
        }
        match made {
            Ok(cache) => {
                let handle = Arc::clone(handle);
                (Some(Self { handle, cache, path, identity, changed: AtomicBool::new(false) }), state)
            }
            Err(error) => unavailable(&error.to_string()),
        }
    }

    /// The cache, for a pipeline that is about to be built.
    pub(crate) fn used(&self) -> &wgpu::PipelineCache {
        self.changed.store(true, Ordering::Relaxed);
        &self.cache
    }

    /// Writes the file: beside its place, then renamed, so that there is never half a file. Returns the bytes of the driver's data.
    pub(crate) fn save(&self) -> std::io::Result<usize> {
        static SAVED: AtomicU64 = AtomicU64::new(0);
        let Some(data) = cached(&self.cache) else { return Ok(0) };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let number = SAVED.fetch_add(1, Ordering::Relaxed);
        let beside = self.path.with_extension(format!("{}-{number}.new", std::process::id()));
        let written =
            std::fs::write(&beside, pack(&self.identity, &data)).and_then(|()| std::fs::rename(&beside, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written?;
        self.changed.store(false, Ordering::Relaxed);
        Ok(data.len())
    }
}

impl Drop for DiskCache {
    fn drop(&mut self) {
        // Only a saving of time: a full disk is nobody's failure.
        if self.changed.load(Ordering::Relaxed)
            && self.handle.check(&Call::new(Site::Cache, "the driver's cache")).is_ok()
        {
            let _ = self.save();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn a_file_is_used_only_if_it_is_whole_and_of_this_driver() {
        let data = [1, 2, 3, 0, 255];
        let file = pack("this driver", &data);
        assert_eq!(unpack(&file, "this driver"), Ok(&data[..]));
        assert!(
            unpack(&file, "that driver").is_err_and(|e| e.contains("[this driver]") && e.contains("[that driver]"))
        );
        for end in 0..file.len() {
            assert!(unpack(&file[..end], "this driver").is_err(), "{end}");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(unpack(&damaged, "this driver").is_err(), "{at}");
        }
        assert!(unpack(&[&file[..], &[0]].concat(), "this driver").is_err());
    }
}
