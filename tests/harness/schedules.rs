//! A plan's work in another order: workgroups permuted, dispatches in parts. The shipped text stays as it is but for where it asks who it is.
//!
//! A kernel knows its workgroup by `id` and how many there are by `groups`. In a turned step both come from `params`: the workgroup dispatched as
//! number `n` does the work of number `(n·factor + shift) mod count`, a bijection as factor and count have no common divisor, and a part of a
//! dispatch begins at another `n`. So a variant is compiled once, whatever the order.

use gatefold_shaders::{Dispatch, Param, Plan, Source, Step};

/// An order of workgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Multiplier of the workgroup's number, made coprime to their count; `None`: in reverse.
    pub factor: Option<u64>,
    /// Added to the product.
    pub shift: u64,
    /// Dispatches that each dispatch is cut into.
    pub parts: u64,
}

/// The orders that plans are tried in: five bijections, each in one part, two, seven, and a prime number of them that is none of a tile's.
pub fn schedules() -> Vec<Schedule> {
    let bijections = [(Some(1), 0), (None, 0), (Some(5), 3), (Some(31), 1), (Some(977), 12)];
    let cut = |(factor, shift)| [1, 2, 7, 13].map(|parts| Schedule { factor, shift, parts });
    bijections.into_iter().flat_map(cut).collect()
}

const MEMBERS: &str =
    "  turn_factor: u32,\n  turn_shift: u32,\n  turn_first: u32,\n  turn_x: u32,\n  turn_y: u32,\n  turn_z: u32,\n";
const TURN: &str = "  let turn_count = params.turn_x * params.turn_y * params.turn_z;
  let turn_to = ((params.turn_first + turn_at.x) * params.turn_factor + params.turn_shift) % turn_count;
  let id = vec3<u32>(turn_to % params.turn_x, turn_to / params.turn_x % params.turn_y, turn_to / params.turn_x / params.turn_y);
  let groups = vec3<u32>(params.turn_x, params.turn_y, params.turn_z);\n";

/// A text with `find`, which must be in it once, replaced.
fn replaced(text: &str, find: &str, with: &str) -> Option<String> {
    (text.matches(find).count() == 1).then(|| text.replacen(find, with, 1))
}

/// The entry point with its workgroup's number turned; `None` where it asks for none.
fn turned_entry(text: &str) -> Option<String> {
    let text = replaced(text, "@builtin(workgroup_id) id: vec3<u32>", "@builtin(workgroup_id) turn_at: vec3<u32>")?;
    let counted = "@builtin(num_workgroups) groups: vec3<u32>";
    let text = replaced(&text, counted, "@builtin(num_workgroups) turn_groups: vec3<u32>").unwrap_or(text);
    let main = text.find("fn main(")?;
    let body = main + text[main..].find(") {")? + 3;
    Some(format!("{}\n{TURN}{}", &text[..body], &text[body..]))
}

/// A step that takes its workgroups' numbers from `params`; `None` if it has one workgroup and does not ask.
fn turned_step(step: &Step) -> Option<Step> {
    let mut turned = step.clone();
    let sources = || std::iter::once(&step.kernel).chain(&step.slots);
    let entry = sources().position(|s| s.text.contains("fn main("))?;
    let holder = sources().position(|s| s.text.contains("struct Params {\n"))?;
    for (at, source) in std::iter::once(&mut turned.kernel).chain(&mut turned.slots).enumerate() {
        let mut text = source.text.to_string();
        if at == entry {
            text = turned_entry(&text)?;
        }
        if at == holder {
            text = replaced(&text, "struct Params {\n", &format!("struct Params {{\n{MEMBERS}"))?;
        }
        if at == entry || at == holder {
            *source = Source { path: source.path, text: kept(text) };
        }
    }
    turned.name = format!("{}~turned", step.name);
    Some(turned)
}

/// The text for good, each once.
fn kept(text: String) -> &'static str {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, PoisonError};
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text.as_str()) {
        return known;
    }
    let leaked: &'static str = text.leak();
    texts.insert(leaked);
    leaked
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl Schedule {
    /// Factor and shift for so many workgroups.
    fn bijection(&self, count: u64) -> (u64, u64) {
        let Some(factor) = self.factor else { return (count - 1, count - 1) };
        let coprime = (factor..).find(|&f| divisor(f, count) == 1).unwrap_or(1);
        (coprime % count, self.shift % count)
    }

    /// A dispatch of a turned step, in parts.
    fn cut(&self, dispatch: &Dispatch) -> Vec<Dispatch> {
        let [x, y, z] = dispatch.grid;
        let count = u64::from(x) * u64::from(y) * u64::from(z);
        if count == 0 {
            return vec![dispatch.clone()];
        }
        let (factor, shift) = self.bijection(count);
        let size = count.div_ceil(self.parts);
        let narrow = |n: u64| u32::try_from(n).expect("small cases have few workgroups");
        let part = |first: u64| {
            let own = [
                ("turn_factor", narrow(factor)),
                ("turn_shift", narrow(shift)),
                ("turn_first", narrow(first)),
                ("turn_x", x),
                ("turn_y", y),
                ("turn_z", z),
            ];
            let own = own.map(|(name, n)| (name, Param::U32(n)));
            let params = dispatch.params.iter().copied().chain(own).collect();
            Dispatch { grid: [narrow(size.min(count - first)), 1, 1], params, windows: dispatch.windows.clone() }
        };
        (0..count.div_ceil(size)).map(|n| part(n * size)).collect()
    }

    /// The plan in this order, and how many of its steps are turned: those of one workgroup stay as they are.
    pub fn of(&self, plan: &Plan) -> (Plan, usize) {
        let (mut turned, mut count) = (plan.clone(), 0);
        for step in &mut turned.steps {
            if let Some(other) = turned_step(step) {
                let dispatches = step.dispatches.iter().flat_map(|d| self.cut(d)).collect();
                *step = Step { dispatches, ..other };
                count += 1;
            }
        }
        (turned, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_a_bijection_in_parts() {
        for schedule in schedules() {
            for grid in [[1, 1, 1], [12, 1, 1], [5, 3, 1], [8, 8, 2], [977, 1, 1]] {
                let count: u64 = grid.iter().map(|&g| u64::from(g)).product();
                let parts = schedule.cut(&Dispatch { grid, params: Vec::new(), windows: Vec::new() });
                let mut met: Vec<u64> = Vec::new();
                for part in &parts {
                    let param = |name: &str| match part.params.iter().find(|(n, _)| *n == name) {
                        Some((_, Param::U32(n))) => u64::from(*n),
                        _ => panic!("{name}"),
                    };
                    let at = |n| (n * param("turn_factor") + param("turn_shift")) % count;
                    met.extend((0..u64::from(part.grid[0])).map(|n| at(param("turn_first") + n)));
                }
                met.sort_unstable();
                assert!(met.into_iter().eq(0..count), "{schedule:?} {grid:?}");
            }
        }
    }

    #[test]
    fn an_entry_point_is_turned_once() {
        let text = "@compute\nfn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,\n  \
                    @builtin(local_invocation_index) lane: u32) {\n  let first = id.x;\n}\n";
        let turned = turned_entry(text).unwrap();
        assert!(turned.contains("turn_at: vec3<u32>") && turned.contains("lane: u32) {\n  let turn_count"), "{turned}");
        assert_eq!(turned_entry("fn main(@builtin(local_invocation_index) lane: u32) {\n}\n"), None);
    }
}
