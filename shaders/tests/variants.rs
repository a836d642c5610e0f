//! Every variant, on every profile of limits: it links, obeys the lints, and asks the host for what the plan provides.
