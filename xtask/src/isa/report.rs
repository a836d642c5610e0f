//! The report: a row per kernel, family and setting of naga's checks; what is saved of it, and what became worse since.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::density::Figures;
use super::driver::Family;
use super::spirv::Checks;

/// Format of the files.
const SCHEMA: u32 = 1;

/// Points of density that may be lost before it is a fault.
const MAY_LOSE: f64 = 2.0;

/// FLOPs ÷ bytes below which an attention is bound by bytes: no GPU has fewer multiply-adds for each byte.
const DECODE_INTENSITY: f64 = 16.0;

/// What a variant takes of the device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Resources {
    pub(super) vgprs: u64,
    pub(super) sgprs: u64,
    /// Registers kept in memory.
    pub(super) spilled_vgprs: u64,
    /// Registers kept in other registers.
    pub(super) spilled_sgprs: u64,
    /// Bytes of memory a lane.
    pub(super) scratch: u64,
    /// Bytes of workgroup memory.
    pub(super) lds: u64,
    /// Waves that a SIMD holds at once.
    pub(super) waves: u64,
    /// Lanes of a wave.
    pub(super) lanes: u32,
    /// Bytes of code.
    pub(super) code: u64,
}

impl Resources {
    /// Out of the driver's statistics.
    pub(super) fn of(statistics: &[(String, u64)], lanes: u32) -> Self {
        let get = |name: &str| statistics.iter().find(|s| s.0 == name).map_or(0, |s| s.1);
        Self {
            vgprs: get("VGPRs"),
            sgprs: get("SGPRs"),
            spilled_vgprs: get("Spilled VGPRs"),
            spilled_sgprs: get("Spilled SGPRs"),
            scratch: get("Scratch size"),
            lds: get("LDS size"),
            waves: get("Subgroups per SIMD"),
            lanes,
            code: get("Code size"),
        }
    }

    /// Registers that did not fit.
    pub(super) fn spills(&self) -> u64 {
        self.spilled_vgprs + self.spilled_sgprs
    }
}

/// One kernel for one family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) spec: String,
    pub(super) kernel: String,
    /// Variant name.
    pub(super) variant: String,
    pub(super) family: Family,
    pub(super) checks: Checks,
    pub(super) resources: Resources,
    pub(super) figures: Figures,
    /// Bytes that vector loads bring ÷ bytes of the op's inputs.
    #[serde(default)]
    pub(super) reads: f64,
    /// FLOPs ÷ bytes of all operands.
    #[serde(default)]
    pub(super) intensity: f64,
}

impl Row {
    /// Whether it is bound by the bytes it reads rather than by multiply-adds: a step of decoding.
    pub(super) fn decodes(&self) -> bool {
        self.kernel.starts_with("attention_forward") && self.intensity < DECODE_INTENSITY
    }

    /// What stays the same when a kernel is made better.
    pub(super) fn key(&self) -> String {
        let checks = if self.checks == Checks::On { "checks" } else { "trusted" };
        format!("{} | {} | {} | {checks}", self.spec, self.kernel, self.family.name())
    }

    fn saved(&self) -> Saved {
        let round = |x: f64| (x * 10.0).round() / 10.0;
        Saved {
            density: self.figures.density().map(round),
            issued: self.figures.all.issued.round(),
            vgprs: self.resources.vgprs,
            spills: self.resources.spills(),
            waves: self.resources.waves,
        }
    }
}

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) schema: u32,
    /// `Mesa 25.0.7`.
    pub(super) driver: String,
    pub(super) rows: Vec<Row>,
    /// Variants without figures, and why.
    pub(super) failures: Vec<String>,
}

/// What is kept of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    density: Option<f64>,
    issued: f64,
    vgprs: u64,
    spills: u64,
    waves: u64,
}

/// Numbers of a version: 25, 0, 7 of `Mesa 25.0.7-2~bpo12+1`.
pub(super) fn version(driver: &str) -> Vec<u32> {
    let dotted =
        driver.split(|c: char| !(c.is_ascii_digit() || c == '.')).find(|n| n.contains('.')).unwrap_or_default();
    dotted.split('.').filter_map(|n| n.parse().ok()).collect()
}

/// A saved report: key figures by major version of Mesa, since every one compiles differently.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    schema: u32,
    mesa: BTreeMap<u32, BTreeMap<String, Saved>>,
}

/// New against saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    /// In words, better or worse.
    pub(super) lines: Vec<String>,
    /// Those that are faults.
    pub(super) faults: Vec<String>,
    /// Rows that both have.
    pub(super) compared: usize,
}

impl Report {
    pub(super) fn new(driver: String) -> Self {
        Self { schema: SCHEMA, driver, ..Self::default() }
    }

    /// Major version of Mesa.
    fn major(&self) -> u32 {
        version(&self.driver).first().copied().unwrap_or(0)
    }

    /// Writes the whole report.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the report")?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

impl Baseline {
    /// Reads a saved report.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let found: Self = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        if found.schema != SCHEMA {
            bail!("{}: expected schema {SCHEMA}, got {}", path.display(), found.schema);
        }
        Ok(found)
    }

    /// Replaces the figures of the report's version of Mesa; those of other versions stay.
    pub(super) fn save(report: &Report, path: &Path) -> Result<()> {
        let mut all = if path.exists() { Self::read(path)? } else { Self { schema: SCHEMA, ..Self::default() } };
        all.mesa.insert(report.major(), report.rows.iter().map(|r| (r.key(), r.saved())).collect());
        // A row a line, so that a diff is readable.
        let mut text = format!("{{\"schema\": {SCHEMA}, \"mesa\": {{");
        for (n, (major, rows)) in all.mesa.iter().enumerate() {
            text.push_str(if n == 0 { "\n" } else { ",\n" });
            text.push_str(&format!("\"{major}\": {{\n"));
            let lines = rows
                .iter()
                .map(|(key, row)| Ok(format!("  {}: {}", serde_json::to_string(key)?, serde_json::to_string(row)?)));
            text.push_str(&lines.collect::<Result<Vec<_>>>()?.join(",\n"));
            text.push_str("\n}");
        }
        text.push_str("\n}}\n");
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// What changed. `whole`: the report has every row, so one that is missing is a fault.
    pub(super) fn changes(&self, report: &Report, whole: bool) -> Changes {
        let mut found = Changes::default();
        let Some(saved) = self.mesa.get(&report.major()) else {
            let versions: Vec<_> = self.mesa.keys().map(ToString::to_string).collect();
            let line = format!(
                "no figures are saved for Mesa {}, only for {}: spills are checked, losses are not (--save adds them)",
                report.major(),
                versions.join(", ")
            );
            found.lines.push(line);
            found.faults.extend(report.rows.iter().filter(|r| r.resources.spills() > 0).map(spill));
            return found;
        };
        for row in &report.rows {
            match saved.get(&row.key()) {
                Some(old) => {
                    found.compared += 1;
                    compare(&mut found, row, old);
                }
                None => {
                    found.lines.push(format!("new: {}", row.key()));
                    found.faults.extend((row.resources.spills() > 0).then(|| spill(row)));
                }
            }
        }
        let gone = saved.keys().filter(|key| whole && !report.rows.iter().any(|r| r.key() == **key));
        found.faults.extend(gone.map(|key| format!("gone: {key} (saved figures are replaced by --save)")));
        found
    }
}

fn spill(row: &Row) -> String {
    format!("{}: {} registers spilled", row.key(), row.resources.spills())
}

fn compare(found: &mut Changes, row: &Row, old: &Saved) {
    let new = row.saved();
    if new.spills > old.spills {
        found.faults.push(format!("{}: {} registers spilled, {} before", row.key(), new.spills, old.spills));
    }
    if let (Some(new), Some(old)) = (new.density, old.density) {
        let line = format!("{}: density {old:.1} → {new:.1} ({:+.1} points)", row.key(), new - old);
        if new < old - MAY_LOSE {
            found.faults.push(line);
        } else if (new - old).abs() >= 0.1 {
            found.lines.push(line);
        }
    } else if new.issued > old.issued * (1.0 + MAY_LOSE / 100.0) {
        // Without multiply-adds to count, a kernel is measured by what it issues.
        found.faults.push(format!("{}: {:.0} instructions, {:.0} before", row.key(), new.issued, old.issued));
    }
    if (new.vgprs, new.waves) != (old.vgprs, old.waves) {
        let (a, b) = (old.vgprs, old.waves);
        found.lines.push(format!("{}: VGPRs {a} → {}, waves {b} → {}", row.key(), new.vgprs, new.waves));
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::Count;
    use super::*;

    fn report(density: f64, spilled_vgprs: u64) -> Report {
        let all = Count { issued: 1000.0, valu: 900.0, ..Count::default() };
        let row = Row {
            spec: "op [N1]".into(),
            kernel: "op_forward".into(),
            variant: "op_forward.f32".into(),
            family: Family::Rdna3,
            checks: Checks::Off,
            resources: Resources { spilled_vgprs, ..Resources::default() },
            figures: Figures { all, needed: 10.0 * density, loops: Vec::new() },
            reads: 1.0,
            intensity: 100.0,
        };
        Report { rows: vec![row], ..Report::new("Mesa 25.0.7-2".into()) }
    }

    fn saved(of: &Report) -> Baseline {
        let path = std::env::temp_dir().join(format!(
            "gatefold_isa_{}_{:?}.json",
            std::process::id(),
            std::thread::current().id()
        ));
        Baseline::save(of, &path).unwrap();
        Baseline::save(&Report { driver: "Mesa 22.3.6".into(), ..of.clone() }, &path).unwrap();
        let found = Baseline::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        found
    }

    #[test]
    fn a_loss_of_more_than_two_points_is_a_fault() {
        let baseline = saved(&report(80.0, 0));
        assert_eq!(baseline.changes(&report(80.0, 0), true), Changes { compared: 1, ..Changes::default() });
        assert_eq!(baseline.changes(&report(78.1, 0), true).faults.len(), 0);
        assert_eq!(baseline.changes(&report(77.9, 0), true).faults.len(), 1);
        let better = baseline.changes(&report(90.0, 0), true);
        assert_eq!((better.faults.len(), better.lines.len()), (0, 1));
    }

    #[test]
    fn a_new_spill_and_a_missing_row_are_faults() {
        let baseline = saved(&report(80.0, 1));
        assert_eq!(baseline.changes(&report(80.0, 1), true).faults.len(), 0);
        assert_eq!(baseline.changes(&report(80.0, 2), true).faults.len(), 1);
        let none = Report { rows: Vec::new(), ..report(80.0, 0) };
        assert_eq!(baseline.changes(&none, true).faults.len(), 1);
        assert_eq!(baseline.changes(&none, false).faults.len(), 0);
    }

    #[test]
    fn another_version_of_mesa_has_figures_of_its_own() {
        let baseline = saved(&report(80.0, 0));
        let other = Report { driver: "Mesa 24.1.0".into(), ..report(10.0, 0) };
        let changes = baseline.changes(&other, true);
        assert!(changes.faults.is_empty() && changes.lines[0].contains("only for 22, 25"), "{changes:?}");
        assert_eq!(version("Mesa 25.0.7-2~bpo12+1"), [25, 0, 7]);
    }
}
