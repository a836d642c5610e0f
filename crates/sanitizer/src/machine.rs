//! The machine: memory with its shadow, and one invocation's way from one barrier to the next.

use std::collections::HashMap;

use crate::adversary::Draw;
use crate::arith::Arith;
use crate::buffer::POISON;
use crate::code::{Code, HALF_BITS, NOWHERE, Op, Reg, Space, Variable};
use crate::shadow::{Cell, Stamp};
use crate::{Buffer, Conflict, Finding, FindingKind, Launch, Options, Outcome, Program, Site};

/// Where an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    AtBarrier,
    AtSubgroup,
    Ended,
}

/// An invocation.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) regs: Vec<u32>,
    /// For each register: 0, or 1 + the operation that read what nobody has written and that its value depends on.
    pub(crate) unknown: Vec<u32>,
    pub(crate) own: Vec<u32>,
    pub(crate) own_written: Vec<bool>,
    pub(crate) pc: u32,
    /// Where calls return to.
    pub(crate) stack: Vec<u32>,
    pub(crate) state: State,
    pub(crate) trips: u64,
}

impl Lane {
    pub(crate) fn new(code: &Code) -> Self {
        Self {
            regs: code.template.clone(),
            unknown: vec![0; code.template.len()],
            own: vec![0; code.own_words as usize],
            own_written: vec![false; code.own_words as usize],
            pc: 0,
            stack: Vec::new(),
            state: State::Ready,
            trips: 0,
        }
    }

    pub(crate) fn get(&self, reg: Reg) -> u32 {
        self.regs[reg as usize]
    }

    /// Sets a register to a value that depends on no unwritten memory.
    pub(crate) fn set(&mut self, reg: Reg, word: u32) {
        self.set_from(reg, word, 0);
    }

    /// Sets a register to a value that depends on the read `origin` (0: on none) of unwritten memory.
    pub(crate) fn set_from(&mut self, reg: Reg, word: u32, origin: u32) {
        self.regs[reg as usize] = word;
        self.unknown[reg as usize] = origin;
    }

    /// The read of unwritten memory that a register depends on, 0 for none.
    pub(crate) fn origin(&self, reg: Reg) -> u32 {
        self.unknown[reg as usize]
    }

    /// Of several registers.
    pub(crate) fn origins(&self, first: Reg, n: u32) -> u32 {
        self.unknown[first as usize..(first + n) as usize].iter().copied().find(|&o| o != 0).unwrap_or(0)
    }

    /// Copies registers with what they depend on.
    pub(crate) fn copy(&mut self, dst: Reg, src: Reg, n: u32) {
        let from = src as usize..(src + n) as usize;
        self.regs.copy_within(from.clone(), dst as usize);
        self.unknown.copy_within(from, dst as usize);
    }

    /// A function's variables (or the private ones) as they begin.
    pub(crate) fn begin(&mut self, variables: &[Variable], strict: bool) {
        for v in variables {
            let place = v.start as usize..(v.start + v.words) as usize;
            match v.init {
                Some(reg) => {
                    let from = reg as usize..(reg + v.words) as usize;
                    self.own[place.clone()].copy_from_slice(&self.regs[from]);
                    self.own_written[place].fill(true);
                }
                None => {
                    self.own[place.clone()].fill(0);
                    self.own_written[place].fill(!strict);
                }
            }
        }
    }
}

/// A buffer with its shadow.
pub(crate) struct Memory {
    pub(crate) buffer: Buffer,
    /// For buffers that are written: one for each word, or half of one.
    pub(crate) cells: Vec<Cell>,
    /// Halves of a word per cell, as a shift.
    pub(crate) shift: u32,
}

/// What was read where nobody has written, by operation: variable and scalar.
type Origins = HashMap<u32, (Option<String>, Option<i64>)>;

/// Which faults are the same one: by kind and operation.
type Faults = HashMap<(FindingKind, u32), usize>;

pub(crate) struct Machine<'a, A> {
    pub(crate) code: &'a Code,
    lines: &'a [(u32, u32)],
    pub(crate) options: &'a Options,
    pub(crate) arith: A,
    pub(crate) draw: Draw,
    pub(crate) shared: Vec<u32>,
    pub(crate) shared_written: Vec<bool>,
    pub(crate) shared_cells: Vec<Cell>,
    pub(crate) buffers: Vec<Memory>,
    /// Who acts, and where.
    pub(crate) now: Stamp,
    pub(crate) group: [u32; 3],
    pub(crate) grid: [u32; 3],
    /// Barriers passed: of workgroup memory, of buffers.
    pub(crate) epochs: [u32; 2],
    pub(crate) sub_epochs: Vec<u16>,
    findings: Vec<Finding>,
    faults: Faults,
    /// Reads of what nobody has written.
    pub(crate) origins: Origins,
    pub(crate) trips: u64,
    pub(crate) all_trips: u64,
    operations: u64,
}

impl<'a, A: Arith> Machine<'a, A> {
    pub(crate) fn new(program: &'a Program, launch: &Launch, options: &'a Options, arith: A) -> Self {
        let code = &program.code;
        let memory = |decl: &crate::code::BufferDecl| {
            let given = launch.buffers.iter().find(|(name, _)| *name == decl.name);
            let buffer = given.map(|(_, b)| b.clone()).unwrap_or_default();
            let shift = u32::from(!decl.narrow);
            let cells = if decl.writable { (buffer.written.len() >> shift) + 1 } else { 0 };
            Memory { buffer, cells: vec![Cell::default(); cells], shift }
        };
        Self {
            code,
            lines: &program.lines,
            options,
            arith,
            draw: Draw(options.seed),
            shared: vec![POISON; code.shared_words as usize],
            shared_written: vec![false; code.shared_words as usize],
            shared_cells: vec![Cell::default(); code.shared_words as usize],
            buffers: code.buffers.iter().map(memory).collect(),
            now: Stamp::default(),
            group: [0; 3],
            grid: launch.grid,
            epochs: [0; 2],
            sub_epochs: Vec::new(),
            findings: Vec::new(),
            faults: HashMap::new(),
            origins: HashMap::new(),
            trips: 0,
            all_trips: 0,
            operations: 0,
        }
    }

    pub(crate) fn outcome(self, launch: Launch) -> Outcome {
        let mut buffers = launch.buffers;
        for (decl, memory) in self.code.buffers.iter().zip(self.buffers) {
            if let Some((_, buffer)) = buffers.iter_mut().find(|(name, _)| *name == decl.name) {
                *buffer = memory.buffer;
            }
        }
        let Self { findings, trips, all_trips, operations, .. } = self;
        Outcome { buffers, findings, trips, all_trips, operations }
    }

    pub(crate) fn site(&self, lane: u32) -> Site {
        site(self.code.workgroup_size, self.group, lane)
    }

    /// Notes a fault of the current operation. `about` says what it is about: variable, element, words, the other side.
    pub(crate) fn fault(&mut self, kind: FindingKind, about: impl FnOnce(&Self) -> About) {
        let key = (kind, self.now.pc);
        if let Some(&known) = self.faults.get(&key) {
            self.findings[known].count += 1;
            return;
        }
        let About { variable, element, message, conflict } = about(self);
        let (line, column) = self.lines[self.now.pc as usize];
        let site = self.site(u32::from(self.now.lane));
        self.faults.insert(key, self.findings.len());
        self.findings.push(Finding { kind, line, column, site, variable, element, message, conflict, count: 1 });
    }

    /// Notes that a value decides something, if it depends on the read `origin` of unwritten memory. The fault is told where that was.
    pub(crate) fn decides(&mut self, origin: u32, what: &str) {
        if origin == 0 {
            return;
        }
        let here = self.now.pc;
        self.now.pc = origin - 1;
        self.fault(FindingKind::Uninitialised, |m| {
            let (variable, element) = m.origins.get(&(origin - 1)).cloned().unwrap_or_default();
            let name = variable.as_deref().unwrap_or("memory");
            let (scalar, line) = (element.unwrap_or(0), m.line(here));
            let message = format!("scalar {scalar} of {name}, which nobody has written, {what} at line {line}");
            About { variable, element, message, conflict: None }
        });
        self.now.pc = here;
    }

    /// The other side of a race.
    pub(crate) fn conflict(&self, other: Stamp, what: &str) -> Conflict {
        let group = unfold(self.grid, other.group - 1);
        let line = self.lines[other.pc as usize].0;
        Conflict { what: what.into(), site: site(self.code.workgroup_size, group, u32::from(other.lane)), line }
    }

    pub(crate) fn line(&self, pc: u32) -> u32 {
        self.lines[pc as usize].0
    }

    /// The variable at an address, and which of its scalars lies there.
    pub(crate) fn name(&self, space: Space, address: u32) -> (Option<String>, Option<i64>) {
        let find = |mut variables: Box<dyn Iterator<Item = &Variable> + '_>| {
            let v = variables.find(|v| (v.start..v.start + v.words).contains(&address));
            v.map_or((None, None), |v| (Some(v.name.clone()), Some(i64::from(address - v.start))))
        };
        match space {
            Space::Own => find(Box::new(self.code.variables.iter().flatten())),
            Space::Workgroup => find(Box::new(self.code.shared.iter())),
            Space::Buffer => {
                let decl = &self.code.buffers[(address >> HALF_BITS) as usize];
                let half = i64::from(address & ((1 << HALF_BITS) - 1));
                (Some(decl.name.clone()), Some(if decl.narrow { half } else { half / 2 }))
            }
        }
    }

    /// Runs an invocation until it waits or ends.
    pub(crate) fn go(&mut self, lane: &mut Lane) {
        let code = self.code;
        loop {
            let pc = lane.pc;
            self.now.pc = pc;
            lane.pc = pc + 1;
            self.operations += 1;
            match code.ops[pc as usize] {
                Op::Jump { to } => lane.pc = to,
                Op::Unless { c, to } => {
                    self.decides(lane.origin(c), "decides a branch");
                    if lane.get(c) == 0 {
                        lane.pc = to;
                    }
                }
                Op::IfEqual { a, value, to } => {
                    self.decides(lane.origin(a), "decides a branch");
                    if lane.get(a) == value {
                        lane.pc = to;
                    }
                }
                Op::Call { to } => {
                    lane.stack.push(lane.pc);
                    lane.pc = to;
                }
                Op::Return => match lane.stack.pop() {
                    Some(to) => lane.pc = to,
                    None => return lane.state = State::Ended,
                },
                Op::Enter { function } => {
                    lane.begin(&code.variables[function as usize], self.options.strict_variables);
                }
                Op::Trip => {
                    lane.trips += 1;
                    if lane.trips > self.options.trip_cap {
                        let cap = self.options.trip_cap;
                        let message = format!("an invocation makes more than {cap} loop trips; it is ended");
                        self.fault(FindingKind::TooManyTrips, |_| About { message, ..About::default() });
                        return lane.state = State::Ended;
                    }
                }
                Op::Barrier { .. } => return lane.state = State::AtBarrier,
                Op::Subgroup { .. } => return lane.state = State::AtSubgroup,
                op => self.operate(op, lane),
            }
        }
    }
}

/// What a fault is about.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) variable: Option<String>,
    pub(crate) element: Option<i64>,
    pub(crate) message: String,
    pub(crate) conflict: Option<Conflict>,
}

fn site(size: [u32; 3], workgroup: [u32; 3], lane: u32) -> Site {
    Site { workgroup, local: unfold(size, lane), invocation: lane }
}

/// The position in a box of a linear index.
pub(crate) fn unfold([x, y, _]: [u32; 3], at: u32) -> [u32; 3] {
    [at % x.max(1), at / x.max(1) % y.max(1), at / x.max(1) / y.max(1)]
}

/// An address with an offset; that of nothing stays so.
pub(crate) fn beyond(address: u32, off: u32) -> u32 {
    if address == NOWHERE { NOWHERE } else { address + off }
}
