// Slot groups: none.
fn limit_groups() {}
