//! Routing from its definitions: gate, plan, dispatch, experts, combine and losses.

mod combine;
mod composite;
mod dispatch;
mod dispatch_cases;
mod expert_activation;
mod expert_activation_cases;
mod expert_choice;
mod expert_choice_cases;
mod grouped;
mod grouped_cases;
mod losses;
mod losses_cases;
mod moe;
mod moe_cases;
mod plan;
mod plan_cases;
mod router;
mod router_cases;
mod selection_bias;
mod top_k;
mod top_k_cases;
mod top_k_gate;
mod top_k_gate_backward;
mod top_k_gate_cases;
mod top_k_gate_draw;
