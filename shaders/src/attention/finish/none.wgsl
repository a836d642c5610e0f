// Slot finish: what the core makes is the output.
fn finished(row: u32, d4: u32, stored: vec4<Elem>, counts: bool) -> vec4<Elem> { return stored; }
