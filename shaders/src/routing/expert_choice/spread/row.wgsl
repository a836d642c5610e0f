// Slot word: the row that the slot is, among those sorted by expert.
fn word_of(place: u32) -> u32 { return place; }
