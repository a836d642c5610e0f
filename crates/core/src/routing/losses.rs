//! The auxiliary losses of a router, values and gradients.

use serde::{Deserialize, Serialize};

use super::{MAX_ASSIGNMENTS, MAX_EXPERTS, MAX_TOP_K};
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Largest coefficient and `lambda`.
const MAX_COEFFICIENT: f32 = 1e6;

/// Which load of an expert sets its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// `û = E·n / (T·k)`, of the tokens that chose it: a constant to the gradient.
    Hard,
    /// `u = E·Σ_t p_te / T`, of the probabilities: differentiated as well.
    Soft,
}

/// How the price of an expert grows with its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CongestionCost {
    /// `λ·load`.
    Linear,
    /// `λ·load²`.
    Quadratic,
}

impl CongestionCost {
    /// The power of the load.
    pub const fn power(self) -> u32 {
        match self {
            Self::Linear => 1,
            Self::Quadratic => 2,
        }
    }
}

/// The options of a congestion loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Congestion {
    /// Which load sets the price.
    pub load: Load,
    /// How it grows.
    pub cost: CongestionCost,
    /// Its factor, 0 to 10⁶.
    pub lambda: f32,
}

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterLossKind {
    /// Load balance of Switch: the congestion loss with hard load, linear cost and `λ = 1`.
    LoadBalance,
    /// Mean square of the logits' log-sum-exp, as in ST-MoE.
    ZLoss,
    /// Rosenthal's congestion game between tokens.
    Congestion(Congestion),
}

/// A loss of a router's logits, its gradient, or both. `T` counts tokens that are not padding, `p_t = softmax(logits_t)`,
/// `n_e` the choices of expert `e` by those tokens.
///
/// ```text
/// load balance   loss = α·E/(k·T²)·Σ_e n_e Σ_t p_te             d_logits_t = d_loss·α·E/(k·T²)·p_t ⊙ (n − Σ_e p_te n_e)
/// z-loss         loss = α/T·Σ_t lse_t²                          d_logits_t = d_loss·2α/T·lse_t·p_t
/// congestion     hard: loss = α/E·Σ_e λ û_eᵖ u_e                 d_logits_t = d_loss/T·p_t ⊙ (w − Σ_e p_te w_e)
///                soft: loss = α/E·Σ_e λ u_eᵖ⁺¹/(p+1)             w = pressure = α·λ·loadᵖ, load = û or u
///                potential = Σ_e Σ_{1 ≤ j ≤ n_e} λ·(j·E/(T·k))ᵖ / (T·k)
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `logits` | `[tokens, experts]` | `dtype` |
/// | `indices` | `[tokens, top_k]` | u32, but for the z-loss: an index from `experts` on ([`NO_EXPERT`](super::NO_EXPERT), [`ELSEWHERE`](super::ELSEWHERE) or any other) is counted nowhere |
/// | `token_mask` | `[tokens]` | u32, if `token_mask`: 0 is padding, which has no part in `n`, `p` and `T`, and gradient 0 |
/// | `d_loss` | `[1]` | f32, if `gradient` |
/// | → `loss` | `[1]` | f32, if `value` |
/// | → `pressure` | `[experts]` | f32, if `value`, for congestion |
/// | → `potential` | `[1]` | f32, if `value`, for congestion |
/// | → `d_logits` | `[tokens, experts]` | `dtype`, if `gradient` |
///
/// Without a token that counts, all outputs are 0. A logit `−∞` has probability 0, and a token of such logits only has no probabilities: it adds 0, but
/// in the z-loss it is as one with a NaN. A NaN or `+∞` among the logits of a token makes its gradient NaN, and all that its
/// probabilities are part of. With `d_loss` not finite, the gradients of all tokens that count are NaN.
///
/// `value: false` is the mode of Megatron's scaler: the gradient joins that of the model without the loss joining the model's. For hard loads it
/// then costs no sum over probabilities.
///
/// Sources: Fedus et al., *Switch Transformers* (arXiv 2101.03961); Zoph et al., *ST-MoE* (arXiv 2202.08906); Rosenthal, *A class of games
/// possessing pure-strategy Nash equilibria* (1973), as a loss in oberpierre/moe-congestion-routing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterLoss {
    /// Tokens; 0 is legal.
    pub tokens: usize,
    /// Experts, 1 to 1024.
    pub experts: usize,
    /// Experts of a token, 1 to 64 and at most `experts`; 0 for the z-loss, which reads no indices.
    pub top_k: usize,
    /// Which loss.
    pub kind: RouterLossKind,
    /// Its factor `α`, −10⁶ to 10⁶.
    pub coefficient: f32,
    /// Whether there is an input `token_mask`.
    #[serde(default)]
    pub token_mask: bool,
    /// Whether the gradient is wanted.
    #[serde(default = "yes")]
    pub gradient: bool,
    /// Whether the loss is wanted.
    #[serde(default = "yes")]
    pub value: bool,
    /// Storage type of `logits` and `d_logits`.
    #[serde(default)]
    pub dtype: Dtype,
}

fn yes() -> bool {
    true
}

impl RouterLoss {
    /// Value and gradient of any loss in f32, all tokens valid. Set further options by struct update.
    pub fn new(kind: RouterLossKind, tokens: usize, experts: usize, top_k: usize, coefficient: f32) -> Self {
        let (token_mask, gradient, value, dtype) = (false, true, true, Dtype::F32);
        Self { tokens, experts, top_k, kind, coefficient, token_mask, gradient, value, dtype }
    }

    /// Switch's load balance.
    ///
    /// ```
    /// use gatefold_core::{Op, RouterLoss};
    ///
    /// let op = RouterLoss::load_balance(512, 64, 8, 0.01);
    /// assert_eq!(op.operands()[1].dims, [512, 8]);
    /// ```
    pub fn load_balance(tokens: usize, experts: usize, top_k: usize, coefficient: f32) -> Self {
        Self::new(RouterLossKind::LoadBalance, tokens, experts, top_k, coefficient)
    }

    /// The z-loss of ST-MoE.
    pub fn z_loss(tokens: usize, experts: usize, coefficient: f32) -> Self {
        Self::new(RouterLossKind::ZLoss, tokens, experts, 0, coefficient)
    }

    /// What sets the prices of the experts; `None` for the z-loss.
    pub fn congestion(&self) -> Option<Congestion> {
        match self.kind {
            RouterLossKind::LoadBalance => {
                Some(Congestion { load: Load::Hard, cost: CongestionCost::Linear, lambda: 1.0 })
            }
            RouterLossKind::ZLoss => None,
            RouterLossKind::Congestion(c) => Some(c),
        }
    }

    /// Whether the outputs `pressure` and `potential` are there.
    pub fn has_prices(&self) -> bool {
        self.value && matches!(self.kind, RouterLossKind::Congestion(_))
    }
}

/// Inputs of [`RouterLoss`], shapes as in its table.
#[derive(Debug, Clone, Default)]
pub struct RouterLossInputs {
    /// The router's logits.
    pub logits: Tensor,
    /// Experts chosen, u32.
    pub indices: Option<Tensor>,
    /// 0 for padding, u32.
    pub token_mask: Option<Tensor>,
    /// Upstream gradient.
    pub d_loss: Option<Tensor>,
}

impl From<RouterLossInputs> for Tensors {
    fn from(i: RouterLossInputs) -> Self {
        Self::new()
            .with("logits", i.logits)
            .with_some("indices", i.indices)
            .with_some("token_mask", i.token_mask)
            .with_some("d_loss", i.d_loss)
    }
}

/// Outputs of [`RouterLoss`], shapes as in its table.
#[derive(Debug, Clone)]
pub struct RouterLossOutputs {
    /// The loss.
    pub loss: Option<Tensor>,
    /// The price of each expert.
    pub pressure: Option<Tensor>,
    /// Rosenthal's potential.
    pub potential: Option<Tensor>,
    /// Gradient of the logits.
    pub d_logits: Option<Tensor>,
}

impl From<Tensors> for RouterLossOutputs {
    fn from(mut t: Tensors) -> Self {
        let [loss, pressure, potential, d_logits] =
            ["loss", "pressure", "potential", "d_logits"].map(|name| t.take(name));
        Self { loss, pressure, potential, d_logits }
    }
}

fn check_number(option: &'static str, given: f32, least: f32) -> Result<(), SpecError> {
    if (least..=MAX_COEFFICIENT).contains(&given) {
        return Ok(());
    }
    let expected = format!("{least:e} to {MAX_COEFFICIENT:e}");
    Err(SpecError::Option { option, expected, given: given.to_string() })
}

impl Op for RouterLoss {
    const NAME: &'static str = "router_loss";
    type Inputs = RouterLossInputs;
    type Outputs = RouterLossOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { tokens, experts, top_k, token_mask, gradient, value, dtype, .. } = self;
        let mut all = vec![Operand::input("logits", [tokens, experts], dtype)];
        all.extend((top_k > 0).then(|| Operand::input("indices", [tokens, top_k], Dtype::U32)));
        all.extend(token_mask.then(|| Operand::input("token_mask", [tokens], Dtype::U32)));
        all.extend(gradient.then(|| Operand::input("d_loss", [1], Dtype::F32)));
        all.extend(value.then(|| Operand::output("loss", [1], Dtype::F32)));
        if self.has_prices() {
            all.push(Operand::output("pressure", [experts], Dtype::F32));
            all.push(Operand::output("potential", [1], Dtype::F32));
        }
        all.extend(gradient.then(|| Operand::output("d_logits", [tokens, experts], dtype)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        let is_z = self.kind == RouterLossKind::ZLoss;
        let (least, most) = if is_z { (0, 0) } else { (1, self.experts.min(MAX_TOP_K)) };
        let most_tokens = MAX_ASSIGNMENTS / self.top_k.max(1);
        let ranges = [
            ("experts", self.experts, 1, MAX_EXPERTS),
            ("top_k", self.top_k, least, most),
            ("tokens", self.tokens, 0, most_tokens),
        ];
        for (dim, given, least, most) in ranges {
            if given < least || given > most {
                return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
            }
        }
        check_number("coefficient", self.coefficient, -MAX_COEFFICIENT)?;
        if let RouterLossKind::Congestion(c) = self.kind {
            check_number("lambda", c.lambda, 0.0)?;
        }
        if !self.value && !self.gradient {
            let reason = "nothing would be computed";
            return Err(SpecError::Conflict { option: "value: false", with: "gradient: false", reason });
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 4 per logit for its probability, 2 for the loss, and 4 for the gradient.
    fn cost(&self) -> Cost {
        let each = 4.0 + if self.value { 2.0 } else { 0.0 } + if self.gradient { 4.0 } else { 0.0 };
        let flops = each * self.tokens as f64 * self.experts as f64;
        Cost { flops, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let kind = match self.kind {
            RouterLossKind::LoadBalance => "load_balance".into(),
            RouterLossKind::ZLoss => "z_loss".into(),
            RouterLossKind::Congestion(c) => {
                let load = if c.load == Load::Hard { "hard" } else { "soft" };
                format!("congestion_{load}{}", c.cost.power())
            }
        };
        let part = |there: bool, name: &'static str| if there { name } else { "" };
        let (mask, value) = (part(self.token_mask, ".mask"), part(self.value, ".value"));
        format!("{kind}{mask}{value}{}.{}", part(self.gradient, ".gradient"), self.dtype)
    }

    fn size_label(&self) -> String {
        let slots = if self.top_k > 0 { format!(" K{}", self.top_k) } else { String::new() };
        format!("T{} E{}{slots}", self.tokens, self.experts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_a_spec_are_named() {
        let base = || RouterLoss::load_balance(4, 8, 2, 0.01);
        let congestion = |lambda| {
            RouterLossKind::Congestion(Congestion { load: Load::Soft, cost: CongestionCost::Quadratic, lambda })
        };
        assert_eq!(base().validate(), Ok(()));
        assert_eq!(RouterLoss { kind: congestion(0.5), ..base() }.validate(), Ok(()));
        assert_eq!(RouterLoss::z_loss(1 << 20, 8, 1e-3).validate(), Ok(()));
        for (op, named) in [
            (RouterLoss { experts: 0, ..base() }, "experts: expected 1 to 1024, got 0"),
            (RouterLoss { experts: 1025, ..base() }, "experts: expected 1 to 1024, got 1025"),
            (RouterLoss { top_k: 0, ..base() }, "top_k: expected 1 to 8, got 0"),
            (RouterLoss { top_k: 9, ..base() }, "top_k: expected 1 to 8, got 9"),
            (RouterLoss { top_k: 65, experts: 99, ..base() }, "top_k: expected 1 to 64, got 65"),
            (RouterLoss { kind: RouterLossKind::ZLoss, ..base() }, "top_k: expected 0 to 0, got 2"),
            (RouterLoss { tokens: (1 << 23) + 1, ..base() }, "tokens: expected 0 to 8388608, got 8388609"),
            (RouterLoss { coefficient: f32::NAN, ..base() }, "coefficient: expected -1e6 to 1e6, got NaN"),
            (RouterLoss { kind: congestion(-1.0), ..base() }, "lambda: expected 0e0 to 1e6, got -1"),
            (
                RouterLoss { value: false, gradient: false, ..base() },
                "value: false: cannot be combined with gradient: false",
            ),
            (RouterLoss { dtype: Dtype::U32, ..base() }, "dtype: expected f32 or f16, got u32"),
        ] {
            let message = op.validate().unwrap_err().to_string();
            assert!(message.starts_with(named), "{message}");
        }
    }

    #[test]
    fn faults_of_the_inputs_are_named() {
        let op = RouterLoss { token_mask: true, ..RouterLoss::load_balance(2, 2, 1, 0.01) };
        let good: Tensors = RouterLossInputs {
            logits: Tensor::f32([2, 2], vec![0.0; 4]).unwrap(),
            indices: Some(Tensor::u32([2, 1], vec![0, super::super::NO_EXPERT]).unwrap()),
            token_mask: Some(Tensor::u32([2], vec![1, 0]).unwrap()),
            d_loss: Some(Tensor::f32([1], vec![1.0]).unwrap()),
        }
        .into();
        assert_eq!(op.check_inputs(&good), Ok(()));
        for name in ["logits", "indices", "token_mask", "d_loss"] {
            let mut less = good.clone();
            less.take(name);
            assert!(op.check_inputs(&less).unwrap_err().to_string().starts_with(name));
            let wrong = good.clone().with(name, Tensor::f16([3], vec![half::f16::ONE; 3]).unwrap());
            assert!(op.check_inputs(&wrong).unwrap_err().to_string().starts_with(name));
        }
        let z = RouterLoss::z_loss(2, 2, 0.1);
        assert!(z.check_inputs(&good).unwrap_err().to_string().starts_with("indices: given"));
    }

    #[test]
    fn a_spec_survives_serialisation() {
        let kind =
            RouterLossKind::Congestion(Congestion { load: Load::Soft, cost: CongestionCost::Linear, lambda: 0.5 });
        let op = RouterLoss { value: false, ..RouterLoss::new(kind, 3, 4, 2, 0.1) };
        let text = serde_json::to_string(&op).unwrap();
        assert_eq!(serde_json::from_str::<RouterLoss>(&text).unwrap(), op);
        let short = r#"{"tokens":3,"experts":4,"top_k":2,"kind":"load_balance","coefficient":0.5}"#;
        assert_eq!(serde_json::from_str::<RouterLoss>(short).unwrap(), RouterLoss::load_balance(3, 4, 2, 0.5));
    }
}
