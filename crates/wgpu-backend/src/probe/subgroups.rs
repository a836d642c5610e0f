//! The self-test of subgroups.

use gatefold_core::{Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::{Limits, Param, Step};

use super::draw::{Draw, SEED};
use super::measure::{source, step};
use super::self_test::{SelfTest, first_wrong};
use crate::RunError;

/// Workgroups of each size.
const GROUPS: usize = 2;
/// Most rounds: at least all lanes of the subgroups that kernels shuffle in.
const MOST_ROUNDS: usize = 16;
/// Subgroups of the larger workgroup, if it may be as large.
const SEVERAL: usize = 4;

/// Names of one workgroup size's operands, in the order of [`GLOBALS`].
type Names = [&'static str; 5];
const GLOBALS: Names = ["words", "quads", "places", "moved", "reduced"];
const ONE: Names = ["subgroup_words", "subgroup_quads", "subgroup_places", "subgroup_moved", "subgroup_reduced"];
const MORE: Names = ["subgroups_words", "subgroups_quads", "subgroups_places", "subgroups_moved", "subgroups_reduced"];

/// One workgroup size.
#[derive(Clone)]
struct Shape {
    names: Names,
    lanes: usize,
    invocations: usize,
    rounds: usize,
    words: Vec<u32>,
    quads: Vec<f32>,
}

impl Shape {
    fn new(names: Names, lanes: usize, subgroups: usize, draw: &mut Draw) -> Self {
        let invocations = lanes * subgroups;
        let words = (0..GROUPS * invocations).map(|_| draw.word()).collect();
        let quads = (0..GROUPS * invocations * 4).map(|_| draw.whole(1000)).collect();
        Self { names, lanes, invocations, rounds: lanes.clamp(2, MOST_ROUNDS), words, quads }
    }

    fn step(&self) -> Step {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let consts = vec![("LANES", count(self.lanes)), ("INVOCATIONS", count(self.invocations))];
        let params = vec![("rounds", Param::U32(count(self.rounds)))];
        let step = step(source!("subgroups.wgsl"), consts, count(GROUPS), params);
        let name = format!("{}.{}", step.name, self.invocations);
        Step { name, subgroups: true, binds: GLOBALS.into_iter().zip(self.names).collect(), ..step }
    }

    fn operands(&self) -> [Operand; 5] {
        let [words, quads, places, moved, reduced] = self.names;
        let (n, rounds) = (self.invocations, self.rounds);
        [
            Operand::input(words, [GROUPS, n], Dtype::U32),
            Operand::input(quads, [GROUPS, n, 4], Dtype::F32),
            Operand::output(places, [GROUPS, n, 4], Dtype::U32),
            Operand::output(moved, [GROUPS, n, rounds, 4], Dtype::U32),
            Operand::output(reduced, [GROUPS, n, rounds, 4], Dtype::F32),
        ]
    }

    fn inputs(&self, inputs: Tensors) -> Result<Tensors, RunError> {
        let [words, quads] = [Tensor::u32([GROUPS, self.invocations], self.words.clone())?, {
            Tensor::f32([GROUPS, self.invocations, 4], self.quads.clone())?
        }];
        Ok(inputs.with(self.names[0], words).with(self.names[1], quads))
    }

    /// The invocation of each lane, for each invocation of a workgroup. A workgroup of one subgroup has them in order, as kernels rely on;
    /// a larger one in any order, but each lane of each subgroup once.
    fn members(&self, group: usize, places: &[u32]) -> Result<Vec<Vec<usize>>, String> {
        let n = self.invocations;
        let place = |i: usize| &places[(group * n + i) * 4..][..4];
        let mut lanes_of = vec![vec![None; self.lanes]; n];
        for i in 0..n {
            let &[size, lane, first, _] = place(i) else { return Err("no places".into()) };
            if size as usize != self.lanes {
                return Err(format!("the adapter says subgroups have {} lanes, the kernel finds {size}", self.lanes));
            }
            let told = format!("invocation {i} of {n} is told lane {lane} of the subgroup of invocation {first}");
            let seat = lanes_of.get_mut(first as usize).and_then(|lanes| lanes.get_mut(lane as usize));
            match seat {
                Some(seat @ None) => *seat = Some(i),
                Some(Some(other)) => return Err(format!("{told}, as is invocation {other}")),
                None => return Err(told),
            }
            if n == self.lanes && lane as usize != i {
                return Err(format!("{told}, in a workgroup of one subgroup"));
            }
        }
        let whole = |first: usize| lanes_of[first].iter().copied().collect::<Option<Vec<usize>>>();
        (0..n)
            .map(|i| {
                let &[_, _, first, last] = place(i) else { return Err("no places".into()) };
                let members = whole(first as usize)
                    .filter(|m| m[0] == first as usize)
                    .ok_or_else(|| format!("the subgroup of invocation {first} of {n} has not all its lanes"))?;
                let there = members[self.lanes - 1];
                if there != last as usize {
                    return Err(format!("shuffle from the last lane gives invocation {last}, expected {there}"));
                }
                Ok(members)
            })
            .collect()
    }

    /// What shuffles and reductions give an invocation in every round.
    fn expected(&self, first: usize, members: &[usize], lane: usize) -> (Vec<u32>, Vec<f32>) {
        let (mut moved, mut reduced, mut total) = (Vec::new(), Vec::new(), 0.0f32);
        let word = |lane: usize| self.words[first + members[lane]];
        let quad = |lane: usize| &self.quads[(first + members[lane]) * 4..][..4];
        for round in 0..self.rounds {
            let source = round * (self.lanes - 1) / (self.rounds - 1);
            let round_word = u32::try_from(round).unwrap_or(0);
            let next = word((lane + round) % self.lanes);
            moved.extend([word(source), next, word(lane ^ source), word(0) ^ round_word]);
            total += quad(source).iter().zip([1.0, 2.0, 3.0, 4.0]).map(|(x, factor)| x * factor).sum::<f32>();
            #[allow(clippy::cast_precision_loss, reason = "at most 16 rounds")]
            let mine = (0..self.lanes).map(|l| quad(l)[round % 4] + round as f32);
            let least = mine.clone().fold(f32::INFINITY, f32::min);
            reduced.extend([mine.clone().sum(), least, mine.fold(f32::NEG_INFINITY, f32::max), total]);
        }
        (moved, reduced)
    }

    fn judge(&self, outputs: &Tensors) -> Result<(), String> {
        let [_, _, places, moved, reduced] = self.names;
        let places = outputs[places].as_u32().unwrap_or(&[]);
        let (got_moved, got_reduced) = (outputs[moved].as_u32().unwrap_or(&[]), outputs[reduced].to_f32());
        let row = self.rounds * 4;
        for group in 0..GROUPS {
            let members = self.members(group, places)?;
            for (i, members) in members.iter().enumerate() {
                let at = group * self.invocations + i;
                let lane = places[at * 4 + 1] as usize;
                let (moved, reduced) = self.expected(group * self.invocations, members, lane);
                let place = format!("lane {lane} of {} in a workgroup of {}", self.lanes, self.invocations);
                first_wrong(&format!("{place}, shuffles"), &got_moved[at * row..][..row], &moved)?;
                let got = &got_reduced[at * row..][..row];
                if let Some(n) = got.iter().zip(&reduced).position(|(g, w)| g != w) {
                    let what = ["sum", "least", "largest", "sum of shuffled rows"][n % 4];
                    return Err(format!("{place}: {what} in round {} is {}, expected {}", n / 4, got[n], reduced[n]));
                }
            }
        }
        Ok(())
    }
}

/// The test, in a workgroup that is one subgroup and in one of several.
///
/// # Errors
/// None that can come up: the inputs fit.
pub(super) fn test(limits: &Limits, lanes: u32) -> Result<SelfTest, RunError> {
    let mut draw = Draw(SEED);
    let (lanes, most) = (lanes as usize, limits.invocations as usize);
    let several = (most / lanes).clamp(1, SEVERAL);
    let shapes = [Shape::new(ONE, lanes, 1, &mut draw), Shape::new(MORE, lanes, several, &mut draw)];
    let steps = shapes.iter().map(Shape::step).collect();
    let operands = shapes.iter().flat_map(Shape::operands).collect();
    let inputs = shapes.iter().try_fold(Tensors::new(), |inputs, shape| shape.inputs(inputs))?;
    let judge = Box::new(move |outputs: &Tensors| shapes.iter().try_for_each(|shape| shape.judge(outputs)));
    Ok(SelfTest { steps, operands, inputs, judge })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of subgroups whose invocations are dealt in turn.
    fn dealt(shape: &Shape) -> Vec<u32> {
        let subgroups = shape.invocations / shape.lanes;
        let place = |i: usize| {
            [shape.lanes, i / subgroups, i % subgroups, (shape.lanes - 1) * subgroups + i % subgroups]
                .map(|n| u32::try_from(n).unwrap())
        };
        (0..GROUPS).flat_map(|_| (0..shape.invocations).flat_map(place)).collect()
    }

    #[test]
    fn any_deal_will_do_in_several_subgroups_and_none_may_lack_a_lane() {
        let shape = Shape::new(MORE, 8, 4, &mut Draw(1));
        let mut places = dealt(&shape);
        assert_eq!(shape.members(1, &places).unwrap()[5], [1, 5, 9, 13, 17, 21, 25, 29]);
        // One lane twice; a size that is not said; a shuffle that goes astray.
        for (word, value, why) in
            [(21, 2, "as is invocation"), (4, 16, "kernel finds 16"), (3, 27, "shuffle from the last")]
        {
            let kept = std::mem::replace(&mut places[word], value);
            assert!(shape.members(0, &places).unwrap_err().contains(why), "{:?}", shape.members(0, &places));
            places[word] = kept;
        }
    }

    #[test]
    fn one_subgroup_must_lie_as_its_invocations_do() {
        let shape = Shape::new(ONE, 4, 1, &mut Draw(1));
        let mut places = dealt(&shape);
        assert!(shape.members(0, &places).is_ok());
        (places[1], places[5]) = (1, 0);
        assert!(shape.members(0, &places).unwrap_err().contains("of one subgroup"));
    }
}
