//! Operations of one invocation: memory.

use crate::arith::Arith;
use crate::code::{At, Atomic, HALF_BITS, Kind, NOWHERE, Op, Reg, Space};
use crate::machine::{About, Lane, Machine, beyond};
use crate::shadow::Stamp;
use crate::{FindingKind, Undefined};
use half::f16;

const HALF_MASK: u32 = (1 << HALF_BITS) - 1;

impl<A: Arith> Machine<'_, A> {
    pub(crate) fn memory(&mut self, op: Op, lane: &mut Lane) {
        match op {
            Op::Index { dst, base, at, len, stride, signed } => {
                self.decides(lane.origin(at), "is an index");
                let begin = beyond(lane.get(base.reg), base.off);
                let len = if len == 0 { self.length(begin, stride) } else { len };
                let place = if begin == NOWHERE { None } else { Some((base.space, begin)) };
                let at = self.checked(lane.get(at), signed, len, place);
                let address = at.map_or(NOWHERE, |at| beyond(begin, at * stride));
                lane.set(dst, address);
            }
            Op::Length { dst, at, stride } => {
                let length = self.length(beyond(lane.get(at.reg), at.off), stride);
                lane.set(dst, length);
            }
            Op::Load { dst, at, n, kind } => {
                let address = beyond(lane.get(at.reg), at.off);
                for i in 0..n {
                    let step = if at.space == Space::Buffer { kind.bytes() / 2 } else { 1 };
                    let (word, origin) = self.read(at.space, beyond(address, i * step), kind, lane);
                    lane.set_from(dst + i, word, origin);
                }
            }
            Op::Store { src, at, n, kind } => {
                let address = beyond(lane.get(at.reg), at.off);
                for i in 0..n {
                    let step = if at.space == Space::Buffer { kind.bytes() / 2 } else { 1 };
                    let word = (lane.get(src + i), lane.origin(src + i));
                    self.write(at.space, beyond(address, i * step), kind, word, lane);
                }
            }
            Op::LoadAs { dst, at, layout } => {
                let (code, address) = (self.code, beyond(lane.get(at.reg), at.off));
                for (dst, &(half, kind)) in (dst..).zip(&code.layouts[layout as usize]) {
                    let (word, origin) = self.read(at.space, beyond(address, half), kind, lane);
                    lane.set_from(dst, word, origin);
                }
            }
            Op::StoreAs { src, at, layout } => {
                let (code, address) = (self.code, beyond(lane.get(at.reg), at.off));
                for (src, &(half, kind)) in (src..).zip(&code.layouts[layout as usize]) {
                    let word = (lane.get(src), lane.origin(src));
                    self.write(at.space, beyond(address, half), kind, word, lane);
                }
            }
            Op::Atomic { f, kind, dst, at, a, b } => self.atomically(f, kind, (dst, at), [a, b], lane),
            _ => {}
        }
    }

    fn atomically(&mut self, f: Atomic, kind: Kind, (dst, at): (Reg, At), [a, b]: [Reg; 2], lane: &mut Lane) {
        let (value, compare) = (lane.get(a), lane.get(b));
        if f != Atomic::Load {
            self.decides(lane.origin(a), "is given to an atomic operation");
        }
        let (old, exchanged) = self.atomic(f, kind, (at, lane.get(at.reg)), value, compare);
        if f != Atomic::Store {
            lane.set(dst, old);
        }
        if f == Atomic::CompareExchange {
            lane.set(dst + 1, u32::from(exchanged));
        }
    }

    /// An index, checked; cut to the last element if it is beyond, and `None` if there is none.
    pub(crate) fn checked(&mut self, at: u32, signed: bool, len: u32, place: Option<(Space, u32)>) -> Option<u32> {
        if at < len {
            return Some(at);
        }
        self.fault(FindingKind::OutOfBounds, |m| {
            let index = if signed { i64::from(at.cast_signed()) } else { i64::from(at) };
            let (variable, _) = place.map_or((None, None), |(space, address)| m.name(space, address));
            let of = variable.as_deref().unwrap_or("a value");
            let message = format!("index {index} into {of}, which has {len} elements there");
            About { variable, element: Some(index), message, conflict: None }
        });
        len.checked_sub(1)
    }

    /// Elements of an array that reaches to the end of its buffer.
    fn length(&self, begin: u32, stride: u32) -> u32 {
        if begin == NOWHERE {
            return 0;
        }
        let halves = self.buffers[(begin >> HALF_BITS) as usize].buffer.written.len();
        let halves = u32::try_from(halves).unwrap_or(HALF_MASK);
        halves.saturating_sub(begin & HALF_MASK) / stride.max(1)
    }

    /// Notes a read of what nobody has written; gives its number for the registers that will depend on it.
    fn unwritten(&mut self, space: Space, address: u32) -> u32 {
        let pc = self.now.pc;
        if !self.origins.contains_key(&pc) {
            let what = self.name(space, address);
            self.origins.insert(pc, what);
        }
        if self.options.undefined == Undefined::Reads {
            self.decides(pc + 1, "is read");
        }
        pc + 1
    }

    fn race(&mut self, space: Space, address: u32, other: Stamp, [mine, theirs]: [&str; 2]) {
        self.fault(FindingKind::DataRace, |m| {
            let (variable, element) = m.name(space, address);
            let name = variable.as_deref().unwrap_or("memory");
            let message = format!("scalar {} of {name} is {mine} with no barrier between", element.unwrap_or(0));
            About { variable, element, message, conflict: Some(m.conflict(other, theirs)) }
        });
    }

    fn stamp(&self, space: Space) -> Stamp {
        Stamp { epoch: self.epochs[usize::from(space == Space::Buffer)], ..self.now }
    }

    /// A scalar, and the read that it depends on if nobody has written it.
    fn read(&mut self, space: Space, address: u32, kind: Kind, lane: &Lane) -> (u32, u32) {
        if address == NOWHERE {
            return (0, 0);
        }
        match space {
            Space::Own => {
                let known = lane.own_written[address as usize];
                let origin = if known { 0 } else { self.unwritten(space, address) };
                (lane.own[address as usize], origin)
            }
            Space::Workgroup => {
                let stamp = self.stamp(space);
                if let Some(other) = self.shared_cells[address as usize].read(stamp, true) {
                    self.race(space, address, other, ["read", "written"]);
                }
                let known = self.shared_written[address as usize];
                let origin = if known { 0 } else { self.unwritten(space, address) };
                (self.shared[address as usize], origin)
            }
            Space::Buffer => {
                let stamp = self.stamp(space);
                let memory = &mut self.buffers[(address >> HALF_BITS) as usize];
                let half = (address & HALF_MASK) as usize;
                let cell = memory.cells.get_mut(half >> memory.shift);
                if let Some(other) = cell.and_then(|cell| cell.read(stamp, false)) {
                    self.race(space, address, other, ["read", "written"]);
                }
                self.bits(address, kind)
            }
        }
    }

    /// A scalar in a buffer.
    fn bits(&mut self, address: u32, kind: Kind) -> (u32, u32) {
        let half = (address & HALF_MASK) as usize;
        let Memory { bytes, written } = Memory::of(&self.buffers[(address >> HALF_BITS) as usize].buffer);
        let known = written[half] && (kind == Kind::F16 || written[half + 1]);
        let word = if kind == Kind::F16 {
            f16::from_le_bytes([bytes[2 * half], bytes[2 * half + 1]]).to_f32().to_bits()
        } else {
            let at = 2 * half;
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        (word, if known { 0 } else { self.unwritten(Space::Buffer, address) })
    }

    /// Writes a scalar. What depends on unwritten memory leaves memory that counts as unwritten.
    fn write(&mut self, space: Space, address: u32, kind: Kind, (word, origin): (u32, u32), lane: &mut Lane) {
        if address == NOWHERE {
            return;
        }
        if space == Space::Buffer && self.options.undefined != Undefined::Decisions {
            self.decides(origin, "is written to a buffer");
        }
        let stamp = self.stamp(space);
        let raced = match space {
            Space::Own => {
                lane.own[address as usize] = word;
                lane.own_written[address as usize] = origin == 0;
                None
            }
            Space::Workgroup => {
                self.shared[address as usize] = word;
                self.shared_written[address as usize] = origin == 0;
                self.shared_cells[address as usize].write(stamp, true)
            }
            Space::Buffer => {
                let memory = &mut self.buffers[(address >> HALF_BITS) as usize];
                let half = (address & HALF_MASK) as usize;
                if kind == Kind::F16 {
                    memory.buffer.write(2 * half, &f16::from_f32(f32::from_bits(word)).to_le_bytes());
                } else {
                    memory.buffer.write(2 * half, &word.to_le_bytes());
                }
                if origin != 0 {
                    memory.buffer.forget(2 * half, kind.bytes() as usize);
                }
                memory.cells.get_mut(half >> memory.shift).and_then(|cell| cell.write(stamp, false))
            }
        };
        if let Some((other, wrote)) = raced {
            self.race(space, address, other, ["written", if wrote { "written" } else { "read" }]);
        }
    }

    /// The old value, and whether a comparison held.
    fn atomic(&mut self, f: Atomic, kind: Kind, (at, reg): (At, u32), value: u32, compare: u32) -> (u32, bool) {
        let address = beyond(reg, at.off);
        if address == NOWHERE {
            return (0, false);
        }
        let (old, origin) = match (f, at.space) {
            (Atomic::Store, _) => (0, 0),
            (_, Space::Buffer) => self.bits(address, Kind::U32),
            _ if self.shared_written[address as usize] => (self.shared[address as usize], 0),
            _ => (self.shared[address as usize], self.unwritten(at.space, address)),
        };
        self.decides(origin, "is used by an atomic operation");
        let (i, j) = (old.cast_signed(), value.cast_signed());
        let new = match f {
            Atomic::Load => return (old, false),
            Atomic::Store | Atomic::Exchange => value,
            Atomic::Add => old.wrapping_add(value),
            Atomic::Sub => old.wrapping_sub(value),
            Atomic::And => old & value,
            Atomic::Or => old | value,
            Atomic::Xor => old ^ value,
            Atomic::Min if kind == Kind::I32 => i.min(j).cast_unsigned(),
            Atomic::Max if kind == Kind::I32 => i.max(j).cast_unsigned(),
            Atomic::Min => old.min(value),
            Atomic::Max => old.max(value),
            Atomic::CompareExchange if old != compare => return (old, false),
            Atomic::CompareExchange => value,
        };
        if at.space == Space::Buffer {
            let memory = &mut self.buffers[(address >> HALF_BITS) as usize];
            memory.buffer.write(2 * (address & HALF_MASK) as usize, &new.to_le_bytes());
        } else {
            self.shared[address as usize] = new;
            self.shared_written[address as usize] = true;
        }
        (old, true)
    }
}

/// A buffer's parts.
struct Memory<'a> {
    bytes: &'a [u8],
    written: &'a [bool],
}

impl<'a> Memory<'a> {
    fn of(buffer: &'a crate::Buffer) -> Self {
        Self { bytes: &buffer.bytes, written: &buffer.written }
    }
}
