// Slot softcap: no cap.
fn cap(s: f32) -> f32 { return s; }
fn cap_gradient(capped: f32) -> f32 { return 1.0; }
