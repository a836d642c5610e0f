//! Packages of other Debian suites than the system's, unpacked in a folder of their own with all that they need, their C library included: nothing of
//! the system changes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// What signs Debian's suites.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether this machine can fetch them and run what they hold.
pub(crate) fn can_fetch() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64")) && shell::has("apt-get") && Path::new(KEYS).is_file()
}

/// The mirror of Debian that this machine's apt uses.
fn mirror() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
        .output()
        .context("asking apt for its sources")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix("Debian|Debian|"));
    found.map(str::to_owned).context("none of apt's sources is Debian's")
}

/// An apt-get that works in a folder of its own, as if nothing were installed.
fn apt(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let own = |key: &str, path: &str| format!("{key}={}", folder.join(path).display());
    for option in [
        "Dir::Etc::sourcelist=/dev/null".into(),
        own("Dir::Etc::sourceparts", "parts"),
        own("Dir::State::lists", "lists"),
        own("Dir::Cache", "cache"),
        own("Dir::State::status", "status"),
        "APT::Sandbox::User=root".into(),
        "Debug::NoLocking=1".into(),
        "Acquire::Languages=none".into(),
    ] {
        command.args(["-o", &option]);
    }
    command
}

/// Unpacks `packages` of the first of `suites`, and what they need of these suites, in the folder `prefix`.
///
/// # Errors
/// If apt has no mirror of Debian, or fails.
pub(crate) fn fetch(prefix: &Path, suites: &[&str], packages: &[&str]) -> Result<()> {
    let work = prefix.join(".apt");
    for folder in ["parts", "lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(work.join(folder)).context("making apt's folders")?;
    }
    std::fs::write(work.join("status"), "")?;
    let mirror = mirror()?;
    let source =
        |suite: &&str| format!("Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYS}\n\n");
    std::fs::write(work.join("parts/later.sources"), suites.iter().map(source).collect::<String>())?;
    shell::shown(apt(&work).args(["update", "-qq"])).context("reading Debian's package lists")?;
    let install = ["install", "-y", "-qq", "--download-only", "--no-install-recommends"];
    let from = suites.first().into_iter().flat_map(|suite| ["-t", suite]);
    shell::shown(apt(&work).args(install).args(packages).args(from)).context("downloading packages")?;
    for entry in std::fs::read_dir(work.join("cache/archives")).context("reading what was downloaded")? {
        let file = entry?.path();
        if file.extension().is_some_and(|e| e == "deb") {
            shell::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(prefix))?;
        }
    }
    std::fs::remove_dir_all(&work).context("removing what was downloaded")
}
