//! Which files the gate's kernels are linked from, and the part of the variant's name that says so.

use gatefold_core::TopKGate;
use gatefold_core::routing::{GateActivation, GateWeight, NanLogits, Score};

use crate::Source;
use crate::source::wgsl;

macro_rules! gate {
    ($path:literal) => {
        wgsl!(concat!("routing/top_k_gate/", $path, ".wgsl"))
    };
}
pub(super) use gate;

/// Files and their names, in a fixed order. Files without a name are what others imply.
pub(super) struct Files {
    pub(super) slots: Vec<Source>,
    name: Vec<&'static str>,
}

impl Files {
    fn add(&mut self, (file, name): (Source, &'static str)) {
        self.slots.push(file);
        self.name.extend((!name.is_empty()).then_some(name));
    }

    pub(super) fn add_if(&mut self, is: bool, some: (Source, &'static str), none: Source) {
        self.add(if is { some } else { (none, "") });
    }

    pub(super) fn name(&self) -> String {
        self.name.join(".")
    }
}

/// What of a gate's arithmetic a kernel needs.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    /// The scores of experts.
    pub(super) scores: bool,
    /// `softmax(z)` for its own sake.
    pub(super) lse: bool,
}

fn score(op: &TopKGate, needs: Needs) -> (Source, &'static str) {
    match op.score {
        Score::Softmax if needs.scores => (gate!("score/softmax"), "softmax"),
        Score::Sigmoid if needs.scores => (gate!("score/sigmoid"), "sigmoid"),
        Score::SqrtSoftplus if needs.scores => (gate!("score/sqrt_softplus"), "sqrt_softplus"),
        _ => (gate!("score/identity"), "identity"),
    }
}

fn weight(op: &TopKGate) -> (Source, &'static str) {
    match op.weight {
        _ if op.weighs_by_selected_softmax() => (gate!("weight/softmax"), "by_selected_softmax"),
        GateWeight::SelectedSigmoid => (gate!("weight/sigmoid"), "by_selected_sigmoid"),
        GateWeight::Logit => (gate!("weight/logit"), "by_logit"),
        _ => (gate!("weight/score"), "by_score"),
    }
}

fn activation(op: &TopKGate) -> (Source, &'static str) {
    match op.activation {
        GateActivation::None => (gate!("activation/none"), ""),
        GateActivation::Sigmoid => (gate!("activation/sigmoid"), "act_sigmoid"),
        GateActivation::Tanh => (gate!("activation/tanh"), "act_tanh"),
        GateActivation::Gelu => (gate!("activation/gelu"), "act_gelu"),
    }
}

/// Whether weights are divided by their sum.
fn divides(op: &TopKGate) -> bool {
    op.weighs_by_selected_softmax() || op.divisor_epsilon().is_some()
}

/// What forward and backward share.
pub(super) fn shared(op: &TopKGate, needs: Needs) -> Files {
    let mut files = Files { slots: vec![gate!("shape")], name: Vec::new() };
    files.add(score(op, needs));
    files.add(weight(op));
    files.add(activation(op));
    let softmax = needs.lse || (needs.scores && op.score == Score::Softmax);
    files.add_if(softmax, (gate!("statistic/softmax"), "measured"), gate!("statistic/none"));
    files.add_if(op.logit_bias, (gate!("logit_bias/given"), "logit_bias"), gate!("logit_bias/none"));
    files.add_if(op.temperature, (gate!("temperature/given"), "temperature"), gate!("temperature/none"));
    files.add_if(op.token_mask, (gate!("tokens/masked"), "token_mask"), gate!("tokens/all"));
    files.add_if(divides(op), (gate!("divisor/sum"), "divided"), gate!("divisor/none"));
    let by_sign = matches!(op.activation, GateActivation::Sigmoid | GateActivation::Gelu)
        || (needs.scores && matches!(op.score, Score::Sigmoid | Score::SqrtSoftplus))
        || op.weight == GateWeight::SelectedSigmoid;
    files.slots.extend(by_sign.then_some(gate!("sigmoid")));
    files.slots.extend((op.activation == GateActivation::Tanh).then_some(wgsl!("common/tanh.wgsl")));
    files
}

/// What the forward pass needs besides.
pub(super) fn forward(op: &TopKGate) -> Files {
    let by_score = op.weight == GateWeight::Score && !op.weighs_by_selected_softmax();
    let needs = Needs { scores: op.scores || op.ranks_by_score() || by_score, lse: op.lse };
    let mut files = shared(op, needs);
    files.add(match (op.selection_bias, op.ranks_by_score()) {
        (true, _) => (gate!("selection/biased_scores"), "selection_bias"),
        (false, true) => (gate!("selection/scores"), "ranked_by_score"),
        (false, false) => (gate!("selection/logits"), ""),
    });
    match op.groups.map(|g| g.score) {
        None => files.add((gate!("groups/none"), "")),
        Some(score) => {
            files.slots.push(gate!("groups/limited"));
            let is_max = score.terms() == 1;
            let sum = (gate!("groups/top_sum"), "groups_sum");
            files.add(if is_max { (gate!("groups/max"), "groups_max") } else { sum });
        }
    }
    files.add_if(op.threshold.is_some(), (gate!("threshold/given"), "threshold"), gate!("threshold/none"));
    files.add_if(op.scores, (gate!("scores/store"), "scores"), gate!("scores/none"));
    files.add_if(op.lse, (gate!("lse/store"), "lse"), gate!("lse/none"));
    let counts = op.nan == NanLogits::Refuse;
    files.add_if(!counts, (gate!("rejected/none"), "nan_lowest"), gate!("rejected/counted"));
    let side = op.logit_bias | op.selection_bias | op.temperature | op.token_mask;
    files.slots.extend(side.then_some(gate!("side")));
    files
}
