// The order of (key, column) pairs: keys descending, equal ones by column. Pairs that fill a row up have key 0 and the last column.
fn belongs_before(a: vec2<u32>, b: vec2<u32>) -> bool { return (a.x > b.x) | ((a.x == b.x) & (a.y < b.y)); }
