//! A dispatch: workgroups one after the other, the invocations of each in turns from barrier to barrier.

use naga::BuiltIn;

use crate::arith::Arith;
use crate::buffer::POISON;
use crate::code::{Across, Bin, Kind, Op, Reg, Scan};
use crate::functions::extreme;
use crate::machine::{About, Lane, Machine, State, unfold};
use crate::shadow::Stamp;
use crate::{Conflict, FindingKind};

/// A word, and the read of unwritten memory that it depends on.
type Known = (u32, u32);

fn flag(bit: bool, given: &[Known]) -> Known {
    (u32::from(bit), given.iter().map(|w| w.1).max().unwrap_or(0))
}

/// A lane's number in its workgroup, as shadow memory has it.
fn short(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn fit(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl<A: Arith> Machine<'_, A> {
    /// Runs every workgroup, in an order that the seed draws.
    pub(crate) fn dispatch(&mut self, grid: [u32; 3]) {
        let size: u32 = self.code.workgroup_size.iter().product();
        let mut lanes = vec![Lane::new(self.code); size as usize];
        let groups = grid.iter().map(|&n| n as usize).product();
        for group in self.draw.order(groups) {
            self.group = unfold(grid, fit(group));
            self.workgroup(fit(group), &mut lanes);
            for lane in &lanes {
                self.trips = self.trips.max(lane.trips);
                self.all_trips += lane.trips;
            }
        }
    }

    fn begin(&mut self, lanes: &mut [Lane]) {
        self.shared.fill(POISON);
        self.shared_written.fill(false);
        self.epochs = [0; 2];
        let subgroups = lanes.len().div_ceil(self.options.subgroup_size as usize);
        self.sub_epochs = vec![0; subgroups];
        for (index, lane) in lanes.iter_mut().enumerate() {
            (lane.pc, lane.state, lane.trips) = (self.code.entry, State::Ready, 0);
            lane.stack.clear();
            lane.begin(&self.code.variables[0], self.options.strict_variables);
            for &(reg, builtin) in &self.code.builtins {
                let words = self.builtin(builtin, fit(index), fit(subgroups));
                (reg..).zip(words).for_each(|(reg, word)| lane.set(reg, word));
            }
        }
    }

    fn builtin(&self, builtin: BuiltIn, index: u32, subgroups: u32) -> Vec<u32> {
        let (size, lanes) = (self.code.workgroup_size, self.options.subgroup_size);
        let local = unfold(size, index);
        match builtin {
            BuiltIn::GlobalInvocationId => (0..3).map(|i| self.group[i] * size[i] + local[i]).collect(),
            BuiltIn::LocalInvocationId => local.to_vec(),
            BuiltIn::LocalInvocationIndex => vec![index],
            BuiltIn::WorkGroupId => self.group.to_vec(),
            BuiltIn::WorkGroupSize => size.to_vec(),
            BuiltIn::NumWorkGroups => self.grid.to_vec(),
            BuiltIn::NumSubgroups => vec![subgroups],
            BuiltIn::SubgroupId => vec![index / lanes],
            BuiltIn::SubgroupSize => vec![lanes],
            BuiltIn::SubgroupInvocationId => vec![index % lanes],
            _ => Vec::new(),
        }
    }

    fn workgroup(&mut self, group: u32, lanes: &mut [Lane]) {
        self.begin(lanes);
        let order = self.draw.order(lanes.len());
        loop {
            for &index in &order {
                if lanes[index].state == State::Ready {
                    self.take_turn(group, index);
                    self.go(&mut lanes[index]);
                }
            }
            if self.subgroups(group, lanes) {
                continue;
            }
            if lanes.iter().all(|lane| lane.state == State::Ended) {
                return;
            }
            self.barrier(group, lanes);
        }
    }

    fn take_turn(&mut self, group: u32, index: usize) {
        let subgroup = index / self.options.subgroup_size as usize;
        let sub_epoch = self.sub_epochs[subgroup];
        self.now =
            Stamp { group: group + 1, epoch: 0, lane: short(index), sub_epoch, pc: 0, subgroup: short(subgroup) };
    }

    /// All invocations wait or have ended: lets those that wait go on.
    fn barrier(&mut self, group: u32, lanes: &mut [Lane]) {
        let waits = |lane: &Lane| lane.state == State::AtBarrier;
        let Some(first) = lanes.iter().position(waits) else { return };
        let elsewhere = |lane: &Lane| !waits(lane) || lane.pc != lanes[first].pc || lane.stack != lanes[first].stack;
        if let Some(other) = lanes.iter().position(elsewhere) {
            self.take_turn(group, first);
            self.now.pc = lanes[first].pc - 1;
            let state = (lanes[other].state, lanes[other].pc);
            let count = lanes.iter().filter(|lane| elsewhere(lane)).count();
            self.diverged(FindingKind::DivergentBarrier, other, state, (count, lanes.len()));
        }
        let (mut workgroup, mut storage) = (false, false);
        for lane in lanes.iter_mut().filter(|lane| waits(lane)) {
            lane.state = State::Ready;
            if let Op::Barrier { workgroup: w, storage: s } = self.code.ops[lane.pc as usize - 1] {
                (workgroup, storage) = (workgroup | w, storage | s);
            }
        }
        self.epochs[0] += u32::from(workgroup);
        self.epochs[1] += u32::from(storage);
    }

    /// Notes that `count` of `all` invocations are not where the current one waits; the first of them is `other`.
    fn diverged(&mut self, kind: FindingKind, other: usize, at: (State, u32), (count, all): (usize, usize)) {
        self.fault(kind, |m| {
            let (what, line) = match at {
                (State::Ended, _) => ("has ended:", 0),
                (State::AtBarrier, pc) => ("waits at another barrier:", m.line(pc - 1)),
                (_, pc) => ("exchanges values elsewhere:", m.line(pc - 1)),
            };
            let conflict = Conflict { what: what.into(), site: m.site(fit(other)), line };
            let message = format!("{count} of {all} invocations do not reach it");
            About { message, conflict: Some(conflict), ..About::default() }
        });
    }

    /// Does the exchanges that subgroups wait for; tells whether there were any.
    fn subgroups(&mut self, group: u32, lanes: &mut [Lane]) -> bool {
        if !self.code.has_subgroups {
            return false;
        }
        let size = self.options.subgroup_size as usize;
        let mut any = false;
        for start in (0..lanes.len()).step_by(size) {
            let end = (start + size).min(lanes.len());
            let waiting: Vec<_> = (start..end).filter(|&i| lanes[i].state == State::AtSubgroup).collect();
            let Some(&first) = waiting.first() else { continue };
            any = true;
            let here: Vec<_> = waiting.into_iter().filter(|&i| lanes[i].pc == lanes[first].pc).collect();
            self.take_turn(group, first);
            self.now.pc = lanes[first].pc - 1;
            if here.len() < end - start
                && let Some(other) = (start..end).find(|i| !here.contains(i))
            {
                let state = (lanes[other].state, lanes[other].pc);
                let counts = (end - start - here.len(), end - start);
                self.diverged(FindingKind::DivergentSubgroup, other, state, counts);
            }
            self.exchange(start, &here, lanes);
        }
        any
    }

    /// Does one exchange among the lanes `here` of the subgroup that begins at `start`.
    fn exchange(&mut self, start: usize, here: &[usize], lanes: &mut [Lane]) {
        let pc = lanes[here[0]].pc as usize - 1;
        let Op::Subgroup { f, kind, n, dst, a, at } = self.code.ops[pc] else { return };
        here.iter().for_each(|&i| lanes[i].state = State::Ready);
        if f == Across::Barrier {
            self.sub_epochs[start / self.options.subgroup_size as usize] += 1;
            return;
        }
        if f == Across::Ballot {
            let mut bits = [0u32; 4];
            for &i in here.iter().filter(|&&i| lanes[i].get(a) != 0) {
                bits[(i - start) / 32] |= 1 << ((i - start) % 32);
            }
            let origin = here.iter().map(|&i| lanes[i].origin(a)).max().unwrap_or(0);
            for &i in here {
                (dst..).zip(bits).for_each(|(reg, word)| lanes[i].set_from(reg, word, origin));
            }
            return;
        }
        for c in 0..u32::from(n) {
            let given: Vec<_> = here.iter().map(|&i| (lanes[i].get(a + c), lanes[i].origin(a + c))).collect();
            let made = match f {
                Across::All => vec![flag(given.iter().all(|w| w.0 != 0), &given); given.len()],
                Across::Any => vec![flag(given.iter().any(|w| w.0 != 0), &given); given.len()],
                Across::Fold(..) | Across::Least(_) | Across::Largest(_) => self.folded(f, kind, &given),
                _ => self.moved(f, (start, here), &given, at, lanes),
            };
            for (&i, (word, origin)) in here.iter().zip(made) {
                lanes[i].set_from(dst + c, word, origin);
            }
        }
    }

    /// Values from other lanes.
    fn moved(&self, f: Across, at: (usize, &[usize]), given: &[Known], index: Reg, lanes: &[Lane]) -> Vec<Known> {
        let (start, here) = at;
        let from = |lane: usize| {
            let (own, by) = (lane - start, lanes[lane].get(index) as usize);
            match f {
                Across::First => here[0] - start,
                Across::Lane => by,
                Across::Up => own.wrapping_sub(by),
                Across::Down => own.wrapping_add(by),
                Across::Xor => own ^ by,
                Across::Quad => (own & !3) | (by & 3),
                Across::QuadSwap(mask) => own ^ usize::from(mask),
                _ => own,
            }
        };
        let value = |&lane: &usize| {
            let wanted = start.checked_add(from(lane));
            let found = wanted.and_then(|wanted| here.iter().position(|&i| i == wanted));
            // A lane that is not there gives anything.
            found.map_or((POISON, lanes[lane].pc), |at| given[at])
        };
        here.iter().map(value).collect()
    }

    fn pair(&mut self, f: Across, kind: Kind, x: u32, y: u32) -> u32 {
        let (i, j) = (x.cast_signed(), y.cast_signed());
        let largest = matches!(f, Across::Largest(_));
        match (f, kind) {
            (Across::Fold(f, _), _) => self.binary(f, kind, x, y),
            (_, Kind::F32 | Kind::F16) => {
                extreme(&mut self.arith, f32::from_bits(x), f32::from_bits(y), largest).to_bits()
            }
            (_, Kind::I32) => (if largest { i.max(j) } else { i.min(j) }).cast_unsigned(),
            _ => {
                if largest {
                    x.max(y)
                } else {
                    x.min(y)
                }
            }
        }
    }

    fn folded(&mut self, f: Across, kind: Kind, given: &[Known]) -> Vec<Known> {
        let scan = match f {
            Across::Fold(_, scan) | Across::Least(scan) | Across::Largest(scan) => scan,
            _ => Scan::Whole,
        };
        let mut sums: Vec<Known> = Vec::with_capacity(given.len());
        // A whole sum may be formed in any order.
        let order = if scan == Scan::Whole { self.draw.order(given.len()) } else { (0..given.len()).collect() };
        for &at in &order {
            let sum = match sums.last() {
                None => given[at],
                Some(&sum) => (self.pair(f, kind, sum.0, given[at].0), sum.1.max(given[at].1)),
            };
            sums.push(sum);
        }
        match scan {
            Scan::Whole => vec![sums.last().copied().unwrap_or((0, 0)); given.len()],
            Scan::Inclusive => sums,
            Scan::Exclusive => {
                let one = if kind.is_float() { 1f32.to_bits() } else { 1 };
                let neutral = if matches!(f, Across::Fold(Bin::Mul, _)) { one } else { 0 };
                std::iter::once((neutral, 0)).chain(sums).take(given.len()).collect()
            }
        }
    }
}
