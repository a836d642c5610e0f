//! The driver's disassembly: blocks of instructions, what each instruction is, and where a block goes.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Instructions of a lane, by class, and the multiply-adds in them. A share of a path is a fraction, so these are not whole numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Count {
    /// All that are issued: everything but hints. Waits, barriers and branches are in.
    pub(crate) issued: f64,
    /// Vector arithmetic, the transcendental in it. Two operations issued as one are one instruction.
    pub(crate) valu: f64,
    /// Exponentials, logarithms, roots, reciprocals.
    pub(crate) trans: f64,
    /// Scalar arithmetic.
    pub(crate) salu: f64,
    /// Operations on workgroup memory.
    pub(crate) lds: f64,
    /// Loads and stores, scalar loads in it.
    pub(crate) memory: f64,
    /// Bytes that vector loads bring a lane.
    pub(crate) loaded: f64,
    /// Waits, barriers, branches.
    pub(crate) sync: f64,
    /// Not issued to any unit: `s_nop`, `s_delay_alu`, `s_clause`, prefetch.
    pub(crate) hints: f64,
    /// Multiply-adds: operations, so a packed or a dual one is two.
    pub(crate) mul_adds: f64,
    /// Multiplications without an addition: the first term of a dot product is one.
    pub(crate) products: f64,
    /// Operations of matrix units.
    pub(crate) matrix: f64,
    /// Multiply-adds in those; they are among all multiply-adds, too.
    pub(crate) matrix_mul_adds: f64,
}

impl Count {
    /// Both, number by number.
    fn merged(&self, o: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            issued: with(self.issued, o.issued),
            valu: with(self.valu, o.valu),
            trans: with(self.trans, o.trans),
            salu: with(self.salu, o.salu),
            lds: with(self.lds, o.lds),
            memory: with(self.memory, o.memory),
            loaded: with(self.loaded, o.loaded),
            sync: with(self.sync, o.sync),
            hints: with(self.hints, o.hints),
            mul_adds: with(self.mul_adds, o.mul_adds),
            products: with(self.products, o.products),
            matrix: with(self.matrix, o.matrix),
            matrix_mul_adds: with(self.matrix_mul_adds, o.matrix_mul_adds),
        }
    }

    /// Every number times `factor`.
    pub(super) fn times(&self, factor: f64) -> Self {
        self.merged(self, |x, _| x * factor)
    }

    /// Operations that multiply floats: at least as many as the algorithm's multiply-adds.
    pub(super) fn multiplying(&self) -> f64 {
        self.mul_adds + self.products
    }
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, o: Self) -> Self {
        self.merged(&o, |x, y| x + y)
    }
}

/// Where a block goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// To the next block.
    Next,
    /// Nowhere: the program ends.
    End,
    /// To that block.
    Always(usize),
    /// There or to the next one, all lanes alike.
    Uniform(usize),
    /// There if no lane (or any lane) has something to do here. In a full wave some lane has.
    Divergent(usize),
}

/// Instructions without a branch among them, but for the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    /// Its instructions as the driver prints them, without the encoding.
    pub(super) lines: Vec<String>,
    /// What they are.
    pub(super) count: Count,
    /// What comes after it.
    pub(super) jump: Jump,
}

const HINTS: [&str; 7] =
    ["s_nop", "s_delay_alu", "s_clause", "s_code_end", "s_inst_prefetch", "s_set_inst_prefetch", "s_setprio"];
const SYNC: [&str; 9] = [
    "s_wait",
    "s_barrier",
    "s_branch",
    "s_cbranch",
    "s_endpgm",
    "s_sendmsg",
    "s_sleep",
    "buffer_gl0_inv",
    "buffer_gl1_inv",
];
const MEMORY: [&str; 7] = ["buffer_", "global_", "flat_", "scratch_", "image_", "s_load_", "s_buffer_load_"];
const TRANS: [&str; 7] = ["exp_", "log_", "rcp_", "rsq_", "sqrt_", "sin_", "cos_"];

fn begins(name: &str, with: &[&str]) -> bool {
    with.iter().any(|w| name.starts_with(w))
}

/// Multiply-adds and plain multiplications of a vector operation, by its name after `v_`, for a wave of `lanes`.
fn multiplications(name: &str, lanes: u32) -> (f64, f64) {
    if let Some(shape) = name.strip_prefix("wmma_") {
        // `f32_16x16x16_f16`: so many multiply-adds a wave.
        let shape = shape.split('_').find(|part| part.contains('x')).unwrap_or_default();
        let all: f64 = shape.split('x').filter_map(|n| n.parse::<f64>().ok()).product();
        return (all / f64::from(lanes.max(1)), 0.0);
    }
    if !(name.contains("_f32") || name.contains("_f16") || name.contains("_mix")) {
        return (0.0, 0.0);
    }
    let (name, ways) = name.strip_prefix("pk_").map_or((name, 1.0), |n| (n, 2.0));
    if name.starts_with("dot2") {
        return (2.0, 0.0);
    }
    if begins(name, &["fma", "mad", "mac"]) {
        return (ways, 0.0);
    }
    (0.0, if begins(name, &["mul_f", "mul_legacy_f", "mul_dx9_zero_f"]) { ways } else { 0.0 })
}

/// Bytes that a load brings a lane, by its name: `buffer_load_b128`, `global_load_dwordx2`. Scalar loads bring none to a lane of its own.
fn loaded(name: &str) -> f64 {
    let Some((unit, what)) = name.split_once("_load_") else { return 0.0 };
    if !matches!(unit, "buffer" | "global" | "flat") {
        return 0.0;
    }
    let sizes = [("x4", 16.0), ("b128", 16.0), ("x3", 12.0), ("b96", 12.0), ("x2", 8.0), ("b64", 8.0)];
    let small = [("short", 2.0), ("16", 2.0), ("byte", 1.0), ("i8", 1.0), ("u8", 1.0)];
    let size = sizes.iter().chain(&small).find(|(word, _)| what.contains(word));
    size.map_or(4.0, |&(_, bytes)| bytes)
}

/// What an instruction is.
fn classify(line: &str, lanes: u32) -> Count {
    let name = line.split_whitespace().next().unwrap_or_default();
    if begins(name, &HINTS) {
        return Count { hints: 1.0, ..Count::default() };
    }
    let one = Count { issued: 1.0, ..Count::default() };
    if begins(name, &SYNC) {
        return Count { sync: 1.0, ..one };
    }
    if begins(name, &MEMORY) {
        return Count { memory: 1.0, loaded: loaded(name), ..one };
    }
    if name.starts_with("ds_") {
        return Count { lds: 1.0, ..one };
    }
    if name.starts_with("s_") {
        return Count { salu: 1.0, ..one };
    }
    let mut count = Count { valu: 1.0, ..one };
    for half in line.split("::") {
        let name = half.split_whitespace().next().unwrap_or_default();
        let name = name.strip_prefix("v_dual_").or_else(|| name.strip_prefix("v_")).unwrap_or(name);
        let (mul_adds, products) = multiplications(name, lanes);
        count.mul_adds += mul_adds;
        count.products += products;
        if name.starts_with("wmma_") {
            count.matrix += 1.0;
            count.matrix_mul_adds += mul_adds;
        }
        count.trans += f64::from(u8::from(begins(name, &TRANS)));
    }
    count
}

/// The number in `BB12`.
fn label(text: &str) -> Option<u32> {
    text.trim().strip_prefix("BB")?.parse().ok()
}

/// Blocks and the labels that stand before them, while their targets are labels still.
#[derive(Default)]
struct Reader {
    blocks: Vec<(Block, Option<u32>)>,
    labels: HashMap<u32, usize>,
    open: bool,
    lanes: u32,
}

impl Reader {
    fn block(&mut self) -> &mut (Block, Option<u32>) {
        if !self.open {
            self.blocks.push((Block { lines: Vec::new(), count: Count::default(), jump: Jump::Next }, None));
            self.open = true;
        }
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let text = line.split(';').next().unwrap_or_default().trim_end();
        if let Some(number) = text.strip_suffix(':').and_then(label) {
            self.open = false;
            self.block();
            self.labels.insert(number, self.blocks.len() - 1);
            return Ok(());
        }
        let text = text.trim();
        if let Some(more) = text.strip_prefix("(then repeated ").and_then(|t| t.strip_suffix(" times)")) {
            let more: f64 = more.parse().with_context(|| format!("`{text}`"))?;
            let lanes = self.lanes;
            let (block, _) = self.block();
            let last = block.lines.last().cloned().unwrap_or_default();
            block.count = block.count + classify(&last, lanes).times(more);
            block.lines.push(text.into());
            return Ok(());
        }
        if text.is_empty() {
            return Ok(());
        }
        let count = classify(text, self.lanes);
        let (block, target) = self.block();
        block.lines.push(text.into());
        block.count = block.count + count;
        let name = text.split_whitespace().next().unwrap_or_default();
        if name == "s_endpgm" {
            block.jump = Jump::End;
        } else if name == "s_branch" || name.starts_with("s_cbranch_") {
            let to = text.split_whitespace().nth(1).and_then(label);
            *target = Some(to.with_context(|| format!("`{text}`: expected a label"))?);
            block.jump = match name {
                "s_branch" => Jump::Always(0),
                "s_cbranch_execz" | "s_cbranch_execnz" => Jump::Divergent(0),
                _ => Jump::Uniform(0),
            };
        } else {
            return Ok(());
        }
        self.open = false;
        Ok(())
    }
}

/// Blocks in the order of their addresses.
///
/// # Errors
/// If the text is not a disassembly that this module understands.
pub(super) fn parse(text: &str, lanes: u32) -> Result<Vec<Block>> {
    let mut reader = Reader { lanes, ..Reader::default() };
    for line in text.lines() {
        reader.line(line)?;
    }
    let Reader { blocks, labels, .. } = reader;
    if !blocks.iter().any(|(b, _)| b.jump == Jump::End) {
        bail!("a disassembly without s_endpgm");
    }
    let mut found = Vec::with_capacity(blocks.len());
    for (mut block, target) in blocks {
        if let Some(target) = target {
            let to = *labels.get(&target).with_context(|| format!("a branch to BB{target}, which is not there"))?;
            block.jump = match block.jump {
                Jump::Always(_) => Jump::Always(to),
                Jump::Divergent(_) => Jump::Divergent(to),
                _ => Jump::Uniform(to),
            };
        }
        found.push(block);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_classes() {
        let count = |line: &str| classify(line, 32);
        assert_eq!(count("v_fmac_f32_e32 v1, v2, v3").mul_adds, 1.0);
        assert_eq!(count("v_mul_f32_e32 v1, v2, v3").products, 1.0);
        assert_eq!(count("v_mul_lo_u32 v1, v2, v3").multiplying(), 0.0);
        assert_eq!(count("v_mad_u32_u24 v1, v2, v3, v4").multiplying(), 0.0);
        assert_eq!(count("v_fma_mix_f32 v1, v2, v3, v4").mul_adds, 1.0);
        assert_eq!(count("v_pk_fma_f16 v1, v2, v3, v4").mul_adds, 2.0);
        let wmma = count("v_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]");
        assert_eq!((wmma.issued, wmma.matrix, wmma.mul_adds, wmma.matrix_mul_adds), (1.0, 1.0, 128.0, 128.0));
        let dual = count("v_dual_fmac_f32 v1, v2, v3 :: v_dual_mul_f32 v4, v5, v6");
        assert_eq!((dual.issued, dual.valu, dual.mul_adds, dual.products), (1.0, 1.0, 1.0, 1.0));
        assert_eq!(count("v_rcp_iflag_f32_e32 v1, v1").trans, 1.0);
        assert_eq!((count("s_nop 0").issued, count("s_nop 0").hints), (0.0, 1.0));
        assert_eq!(count("s_waitcnt lgkmcnt(0)").sync, 1.0);
        assert_eq!(count("s_buffer_load_b32 s1, s[8:11], 0x4").memory, 1.0);
        let loads = ["buffer_load_b128 v[0:3], v4", "global_load_dwordx2 v[0:1], v2", "buffer_load_dword v0, v1"];
        assert_eq!(loads.map(|line| count(line).loaded), [16.0, 8.0, 4.0]);
        assert_eq!(count("buffer_load_d16_b16 v0, v1").loaded, 2.0);
        assert_eq!(count("buffer_store_b128 v[0:3], v4").loaded, 0.0);
        assert_eq!(count("s_buffer_load_b32 s1, s[8:11], 0x4").loaded, 0.0);
        assert_eq!(count("ds_load_b128 v[0:3], v4").lds, 1.0);
        assert_eq!(count("s_add_u32 s0, s0, s1").salu, 1.0);
    }

    #[test]
    fn blocks_end_at_labels_and_branches() {
        let text = "BB0:\n\tv_mov_b32_e32 v0, 0 ; 7e000280\n\ts_nop 0 ; bf800000\n\t(then repeated 7 times)\nBB1:\nBB2:\n\
            \ts_cbranch_scc0 BB4 ; x\n\ts_cbranch_execz BB4\n\ts_branch BB1\nBB4:\n\ts_endpgm\n";
        let blocks = parse(text, 64).unwrap();
        let jumps: Vec<_> = blocks.iter().map(|b| b.jump).collect();
        let wanted = [Jump::Next, Jump::Next, Jump::Uniform(5), Jump::Divergent(5), Jump::Always(1), Jump::End];
        assert_eq!(jumps, wanted);
        assert_eq!((blocks[0].count.issued, blocks[0].count.hints), (1.0, 8.0));
        assert!(parse("BB0:\n\ts_branch BB7\n\ts_endpgm\n", 64).unwrap_err().to_string().contains("BB7"));
    }
}
