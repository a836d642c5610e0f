//! Routing from its definitions: gate, plan, dispatch, experts, combine and losses.
