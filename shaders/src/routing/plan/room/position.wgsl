// Slot room: an expert keeps at most its capacity.
fn counted(expert: u32) -> u32 { return totals[expert]; }
fn kept(expert: u32) -> u32 { return min(totals[expert], params.capacity); }
