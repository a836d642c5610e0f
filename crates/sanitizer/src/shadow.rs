//! Shadow memory: who used a place last, and whether that was in order.

/// An access: who, when, and by which operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// Number of the workgroup, from 1; 0 for no access.
    pub(crate) group: u32,
    /// Barriers of the memory's kind that the workgroup has passed.
    pub(crate) epoch: u32,
    pub(crate) lane: u16,
    /// Barriers that the lane's subgroup has passed.
    pub(crate) sub_epoch: u16,
    pub(crate) pc: u32,
    pub(crate) subgroup: u16,
}

impl Stamp {
    /// Whether something orders two accesses. `shared`: in workgroup memory, which workgroups do not share.
    fn ordered(&self, other: &Self, shared: bool) -> bool {
        if self.group == 0 || other.group == 0 {
            return true;
        }
        if self.group != other.group {
            return shared;
        }
        self.lane == other.lane
            || self.epoch != other.epoch
            || (self.subgroup == other.subgroup && self.sub_epoch != other.sub_epoch)
    }
}

/// The last accesses of one place.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell {
    write: Stamp,
    /// The last read, and one of another workgroup or lane.
    reads: [Stamp; 2],
}

impl Cell {
    /// Notes a read; gives the write that it races with.
    pub(crate) fn read(&mut self, now: Stamp, shared: bool) -> Option<Stamp> {
        let [last, other] = self.reads;
        if last.group == now.group {
            let keep_other = other.group != now.group && other.group != 0 && !shared;
            if last.lane != now.lane && !last.ordered(&now, shared) && !keep_other {
                self.reads[1] = last;
            }
        } else {
            self.reads[1] = last;
        }
        self.reads[0] = now;
        (!self.write.ordered(&now, shared)).then_some(self.write)
    }

    /// Notes a write; gives the access that it races with, and whether that was a write.
    pub(crate) fn write(&mut self, now: Stamp, shared: bool) -> Option<(Stamp, bool)> {
        let before = std::mem::replace(&mut self.write, now);
        if !before.ordered(&now, shared) {
            return Some((before, true));
        }
        self.reads.iter().find(|read| !read.ordered(&now, shared)).map(|read| (*read, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(group: u32, lane: u16, epoch: u32) -> Stamp {
        Stamp { group, epoch, lane, subgroup: lane / 4, ..Stamp::default() }
    }

    #[test]
    fn a_barrier_orders_a_workgroup() {
        let mut cell = Cell::default();
        assert_eq!(cell.write(at(1, 0, 0), true), None);
        assert_eq!(cell.read(at(1, 1, 1), true), None);
        assert_eq!(cell.write(at(1, 0, 2), true), None);
        assert_eq!(cell.read(at(1, 1, 2), true), Some(at(1, 0, 2)));
        // another workgroup has a memory of its own
        assert_eq!(cell.write(at(2, 5, 2), true), None);
    }

    #[test]
    fn nothing_orders_workgroups() {
        let mut cell = Cell::default();
        assert_eq!(cell.read(at(1, 0, 0), false), None);
        assert_eq!(cell.read(at(2, 0, 3), false), None);
        assert_eq!(cell.write(at(2, 0, 3), false), Some((at(1, 0, 0), false)));
        assert_eq!(cell.read(at(1, 0, 9), false), Some(at(2, 0, 3)));
    }

    #[test]
    fn a_subgroup_barrier_orders_its_lanes_only() {
        let mut cell = Cell::default();
        cell.write(at(1, 0, 0), true);
        assert_eq!(cell.read(Stamp { sub_epoch: 1, ..at(1, 3, 0) }, true), None);
        assert!(cell.read(Stamp { sub_epoch: 1, ..at(1, 4, 0) }, true).is_some());
    }

    #[test]
    fn a_lone_reader_among_many_is_not_forgotten() {
        let mut cell = Cell::default();
        cell.read(at(1, 0, 0), false);
        (0..9).for_each(|lane| assert_eq!(cell.read(at(2, lane, 0), false), None));
        assert_eq!(cell.write(at(2, 8, 1), false), Some((at(1, 0, 0), false)));
    }
}
