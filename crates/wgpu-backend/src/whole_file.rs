//! Files that are never half written.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a text beside its place, then renames it. Makes the folder.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    static SAVED: AtomicU64 = AtomicU64::new(0);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let number = SAVED.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
