//! PyTorch's turn, on the CPU, in a process of its own and after everyone else: its threads spin between calls.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use gatefold_wgpu::attention::Causal;
use serde_json::{Value, json};

use crate::cases::{Case, What};
use crate::clock::{Pace, Raced};
use crate::report::{Entry, Peer};

/// What PyTorch gave, an entry for each case.
pub(crate) struct Torch {
    pub(crate) peer: Peer,
    pub(crate) entries: Vec<Entry>,
}

/// A case as the script reads it.
fn told(case: &Case) -> Value {
    match &case.what {
        What::Attention(op) => json!({
            "what": op.weight.name(),
            "shape": [op.dims.batch, op.dims.q_heads, op.dims.seq_q, op.dims.head_dim],
            "causal": op.causal != Causal::None,
        }),
        What::Matmul(size) => json!({"what": "matmul", "shape": [size, size], "causal": false}),
    }
}

/// Whether this Python has PyTorch.
fn has_torch(python: &str) -> Result<()> {
    let quiet = Command::new(python).args(["-c", "import torch"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match quiet {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("not installed ({python} -m pip install torch)"),
        Err(e) => bail!("{python} cannot be started: {e} (--python PATH names another)"),
    }
}

/// Runs the script over all cases.
pub(crate) fn measure(python: &str, cases: &[Case], pace: Pace) -> Result<Torch> {
    has_torch(python)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdpa.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {python}"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pace = json!({"fewest": pace.fewest, "most": pace.most, "seconds": pace.seconds, "threads": threads});
    let request = json!({"pace": pace, "cases": cases.iter().map(told).collect::<Vec<_>>()});
    child.stdin.take().context("its input")?.write_all(request.to_string().as_bytes()).context("writing to sdpa.py")?;
    let out = child.wait_with_output().context("waiting for sdpa.py")?;
    if !out.status.success() {
        bail!("sdpa.py ended with {}", out.status);
    }
    let answer: Value = serde_json::from_slice(&out.stdout).context("reading what sdpa.py prints")?;
    let text = |key: &str| answer[key].as_str().unwrap_or("unknown").to_string();
    let peer = Peer { name: "PyTorch".into(), version: text("version"), how: text("how") };
    let rows = answer["rows"].as_array().filter(|rows| rows.len() == cases.len());
    let rows = rows.ok_or_else(|| anyhow!("sdpa.py: expected {} rows", cases.len()))?;
    Ok(Torch { peer, entries: rows.iter().zip(cases).map(|(row, case)| entry(row, case)).collect() })
}

fn entry(row: &Value, case: &Case) -> Entry {
    let samples = row["samples"].as_array().map_or(&[][..], Vec::as_slice);
    let raced = Raced {
        name: format!("PyTorch CPU, {}", row["how"].as_str().unwrap_or_default()),
        first: row["first"].as_f64().unwrap_or(0.0),
        runs: 1,
        slow: false,
        samples: samples.iter().filter_map(Value::as_f64).collect(),
        output: None,
        failure: row["failure"].as_str().map(Into::into),
    };
    Entry { difference: row["difference"].as_f64(), ..Entry::of(&raced, case.flops()) }
}
