//! Loops: what changes from one trip to the next, and why a loop ends.
//!
//! A loop is run twice. In the first run every integer that it may write is any number, so what that run finds out about a trip is true of
//! every trip: by how much a variable grows, and what it is at most where the trip ends. A variable that only grows, and never past the
//! largest number, bounds the trips. In the second run the n-th trip finds `start + step·n` in variables with a constant step, and in the
//! others numbers between what they may start from and what a trip leaves.

use naga::{Block, Expression, Handle, Span};

use super::machine::{Machine, Owner};
use super::range::Range;
use super::terms::Term;
use super::value::Value;
use super::{Site, Verified};

/// A loop of at most so many trips is run trip by trip, if that is no more than so many expressions.
const TRIPS: i128 = 17;
const WORK: u64 = 4_000;

/// More first runs, each with what the one before found out, until the end is proven.
const ROUNDS: usize = 2;
/// What a variable is guessed to stay below, and the largest step of such a one.
const SMALL: i128 = 1 << 20;
const SMALL_STEP: i128 = 1 << 16;

/// An integer or truth value that a loop may write.
struct Leaf {
    slot: usize,
    path: Vec<usize>,
    start: Value,
    any: Value,
}

/// What the first run found out about a leaf.
#[derive(Clone, Copy)]
struct Change {
    /// Added by every trip, modulo 2³².
    step: Option<i128>,
    /// Added by a trip, in whole numbers.
    grows: Range,
    /// Where a trip leaves it.
    after: Range,
    /// Trips, if it bounds them.
    trips: Option<i128>,
}

/// The fewest trips that something bounds them to.
fn fewest(changes: &Option<Vec<Change>>) -> Option<i128> {
    match changes {
        None => Some(0),
        Some(changes) => changes.iter().filter_map(|c| c.trips).min(),
    }
}

struct Loop<'a> {
    id: usize,
    body: &'a Block,
    continuing: &'a Block,
    break_if: Option<Handle<Expression>>,
}

impl<'a> Machine<'a> {
    pub(super) fn repeat(
        &mut self,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
        span: Span,
    ) -> bool {
        let own = Loop { id: self.next, body, continuing, break_if };
        self.next += 1;
        let path = self.path.len();
        let mut leaves = self.leaves(&own);
        let fuel = self.fuel;
        let mut changes = self.explore(&own, &leaves);
        let mut trips = fewest(&changes);
        let guessed = if trips.is_none() { self.guess(&own, &leaves, &changes) } else { None };
        if let Some(better) = guessed {
            trips = fewest(&better);
            changes = better;
        }
        for _ in 0..ROUNDS {
            let Some(changed) = changes.as_ref().filter(|_| trips.is_none()) else { break };
            // what a trip leaves is what the next may find
            for (leaf, change) in leaves.iter_mut().zip(changed) {
                self.narrow(leaf, change);
            }
            changes = self.explore(&own, &leaves);
            trips = fewest(&changes);
        }
        let work = fuel - self.fuel;
        self.judge(&own, span, trips);
        match (&changes, trips) {
            (None, _) => {
                self.trip(&own);
            }
            (_, Some(most)) if most < TRIPS && work * u64::try_from(most + 1).unwrap_or(u64::MAX) < WORK => {
                for _ in 0..=most {
                    if !self.trip(&own) {
                        break;
                    }
                }
            }
            (Some(changes), trips) => {
                self.start(&leaves, changes, trips);
                self.trip(&own);
            }
        }
        self.joined(Owner::Break(own.id), path).is_some()
    }

    /// A trip from any state, unrecorded. What it changes; `None` if no other can follow.
    fn explore(&mut self, own: &Loop<'a>, leaves: &[Leaf]) -> Option<Vec<Change>> {
        let (mark, path, lefts) = (self.terms.mark(), self.path.len(), self.left.len());
        let before = self.slots.clone();
        for leaf in leaves {
            self.put(leaf, &leaf.any);
        }
        let recording = std::mem::replace(&mut self.recording, false);
        let again = self.trip(own);
        self.recording = recording;
        let changes = again.then(|| leaves.iter().map(|l| self.change(l)).collect());
        self.left.truncate(lefts);
        self.undo(mark);
        self.path.truncate(path);
        self.slots = before;
        changes
    }

    /// What a trip changes if variables with a constant step are small, should they stay so: what holds at the start and after each trip that
    /// begins with it holds for all.
    fn guess(&mut self, own: &Loop<'a>, leaves: &[Leaf], changes: &Option<Vec<Change>>) -> Option<Option<Vec<Change>>> {
        let mut small = Vec::new();
        let mut guesses = Vec::new();
        for (leaf, change) in leaves.iter().zip(changes.as_ref()?) {
            let mut any = leaf.any.clone();
            let mut guess = None;
            if let (Value::Int(start), Some(1..=SMALL_STEP)) = (&leaf.start, change.step) {
                let from = self.terms.range(*start);
                let range = Range::new(from.lo, from.hi.max(SMALL));
                any = Value::Int(self.terms.fresh(start.signed, range));
                guess = Some(range);
            }
            guesses.push(guess);
            small.push(Leaf { slot: leaf.slot, path: leaf.path.clone(), start: leaf.start.clone(), any });
        }
        if guesses.iter().all(Option::is_none) {
            return None;
        }
        let found = self.explore(own, &small);
        let stays = |(change, guess): (&Change, &Option<Range>)| guess.is_none_or(|g| change.after.within(g));
        let holds = found.as_ref().is_none_or(|f| f.iter().zip(&guesses).all(stays));
        holds.then_some(found)
    }

    /// Gives a leaf a number that is what it starts from or what a trip leaves.
    fn narrow(&mut self, leaf: &mut Leaf, change: &Change) {
        let Value::Int(start) = leaf.start else { return };
        let from = self.terms.range(start);
        let mut range = from.hull(change.after);
        if change.grows.lo >= 0 {
            range.lo = range.lo.max(from.lo);
        }
        if change.grows.hi <= 0 {
            range.hi = range.hi.min(from.hi);
        }
        leaf.any = Value::Int(self.terms.fresh(start.signed, range));
    }

    fn judge(&mut self, own: &Loop<'a>, span: Span, trips: Option<i128>) {
        if self.recording {
            let at = std::ptr::from_ref(own.body) as usize;
            let site = Site { function: self.frame().handle.map(Handle::index), at, is_loop: true };
            let verdict = self.sites.entry(site).or_insert(Verified { span, fault: None, trips: 0 });
            match trips {
                Some(n) => verdict.trips = verdict.trips.max(n),
                None => verdict.fault = Some(("a loop whose end is not proven".into(), Range::ALL)),
            }
        }
    }

    /// One trip from the state at hand. Whether another may follow.
    fn trip(&mut self, own: &Loop<'a>) -> bool {
        let path = self.path.len();
        self.frame_mut().loops.push(own.id);
        self.frame_mut().breaks.push(own.id);
        if self.block(own.body) {
            self.leave(Owner::Continue(own.id), None);
        }
        let mut again = self.joined(Owner::Continue(own.id), path).is_some() && self.block(own.continuing);
        if let (true, Some(cond)) = (again, own.break_if) {
            let cond = self.eval(cond).cond();
            let known = self.terms.decide(&cond);
            if known != Some(false) {
                let mark = self.terms.mark();
                self.terms.assume(&cond, true);
                self.leave(Owner::Break(own.id), None);
                self.undo(mark);
            }
            self.terms.assume(&cond, false);
            again = known != Some(true);
        }
        self.frame_mut().loops.pop();
        self.frame_mut().breaks.pop();
        again
    }

    /// What the loop may write, each with a number that may be any.
    fn leaves(&mut self, own: &Loop<'a>) -> Vec<Leaf> {
        let frame = self.frame();
        let written = self.writes.block(frame.function, &[own.body, own.continuing]);
        let mut slots: Vec<usize> = written.locals.iter().map(|l| frame.first_slot + l.index()).collect();
        slots.extend(written.globals.iter().filter_map(|g| self.privates.get(g)));
        for n in &written.arguments {
            if let Some(Value::Place(place)) = frame.arguments.get(*n as usize)
                && let super::value::Root::Slot(slot) = place.root
            {
                slots.push(slot);
            }
        }
        slots.sort_unstable();
        slots.dedup();
        let mut leaves = Vec::new();
        for slot in slots {
            let value = self.slots[slot].clone();
            self.leaves_of(slot, &mut Vec::new(), &value, &mut leaves);
        }
        leaves
    }

    fn leaves_of(&mut self, slot: usize, path: &mut Vec<usize>, value: &Value, out: &mut Vec<Leaf>) {
        let any = match value {
            Value::Int(t) => Value::Int(self.terms.fresh(t.signed, Range::of_type(t.signed))),
            Value::Bool(_) => Value::unknown(),
            Value::Tree(parts) => {
                for (n, part) in parts.iter().enumerate() {
                    path.push(n);
                    self.leaves_of(slot, path, part, out);
                    path.pop();
                }
                return;
            }
            Value::Place(_) | Value::Opaque => return,
        };
        out.push(Leaf { slot, path: path.clone(), start: value.clone(), any });
    }

    fn put(&mut self, leaf: &Leaf, value: &Value) {
        fn inside(old: &Value, path: &[usize], new: &Value) -> Value {
            match (old, path) {
                (_, []) => new.clone(),
                (Value::Tree(parts), [first, rest @ ..]) => {
                    let mut parts = parts.to_vec();
                    if let Some(part) = parts.get_mut(*first) {
                        *part = inside(part, rest, new);
                    }
                    Value::tree(parts)
                }
                _ => Value::Opaque,
            }
        }
        self.slots[leaf.slot] = inside(&self.slots[leaf.slot], &leaf.path, value);
    }

    /// What a trip did to a leaf, in the state behind it.
    fn change(&mut self, leaf: &Leaf) -> Change {
        let nothing = Change { step: None, grows: Range::ALL, after: Range::ALL, trips: None };
        let mut end = &self.slots[leaf.slot];
        for &n in &leaf.path {
            let Value::Tree(parts) = end else { return nothing };
            let Some(next) = parts.get(n) else { return nothing };
            end = next;
        }
        let part = end.clone();
        let (Value::Int(end), Value::Int(any), Value::Int(start)) = (&part, &leaf.any, &leaf.start) else {
            return nothing;
        };
        let (end, any, start) = (*end, *any, *start);
        let after = self.terms.range(end);
        let difference = self.terms.sub(end, any);
        let step = (difference.scale == 0).then_some(i128::from(difference.add));
        let (x, y) = (self.terms.exact(end), self.terms.exact(any));
        let grows = self.terms.minus(x, y);
        let grows = self.terms.bounds(grows, 2);
        let (from, now) = (self.terms.range(start), self.terms.range(any));
        let trips = if grows.is_empty() || now.is_empty() {
            Some(0)
        } else if grows.lo >= 1 {
            Some(((now.hi - from.lo).div_euclid(grows.lo) + 1).max(0))
        } else if grows.hi <= -1 {
            Some(((from.hi - now.lo).div_euclid(-grows.hi) + 1).max(0))
        } else {
            None
        };
        Change { step, grows, after, trips }
    }

    /// Makes the state at hand that in which any trip begins.
    fn start(&mut self, leaves: &[Leaf], changes: &[Change], trips: Option<i128>) {
        let most = trips.unwrap_or(i128::from(u32::MAX)).min(i128::from(u32::MAX));
        let count = self.terms.fresh(false, Range::new(0, most));
        for (leaf, change) in leaves.iter().zip(changes) {
            let Value::Int(start) = leaf.start else {
                self.put(leaf, &leaf.any);
                continue;
            };
            let from = self.terms.range(start);
            let mut range = from.hull(change.after);
            let reached = |by: i128| by.clamp(-(1 << 40), 1 << 40) * most;
            let bound =
                Range::new(from.lo + reached(change.grows.lo.min(0)), from.hi + reached(change.grows.hi.max(0)));
            if trips.is_some() {
                range = range.meet(bound);
            }
            let term = match change.step {
                Some(0) => start,
                Some(step) if trips.is_some() => self.terms.combine(start, 1, count, step),
                _ => self.terms.fresh(start.signed, range),
            };
            self.put(leaf, &Value::Int(term));
            self.relate(start, term, change, range);
        }
    }

    /// What is known of a variable where a trip begins, beside its range at the start of the loop.
    fn relate(&mut self, start: Term, term: Term, change: &Change, range: Range) {
        let exact = self.terms.exact(term);
        self.terms.keep_in(exact, range);
        if change.step == Some(0) {
            return;
        }
        let from = self.terms.exact(start);
        let way = self.terms.minus(exact, from);
        if change.grows.lo >= 0 {
            self.terms.keep_in(way, Range::new(0, Range::ALL.hi));
        } else if change.grows.hi <= 0 {
            self.terms.keep_in(way, Range::new(Range::ALL.lo, 0));
        }
    }
}
