// Slot statistic: the monoid of the online softmax, (top, sum) with sum relative to exp(2·top); top is a halved logit.
// Milakov & Gimelshein, arXiv 1805.02867. The neutral element has sum 0, so its top never counts.
struct Stat {
    top: f32,
    sum: f32,
    marks: u32,
}

fn empty() -> Stat { return Stat(-LARGEST, 0.0, 0u); }

fn merge(a: Stat, b: Stat) -> Stat {
    let top = max(a.top, b.top);
    let tops = vec2(a.top, b.top);
    let factors = select(exp(2.0 * max(tops - vec2(top), vec2(EXP_FLOOR))), vec2(1.0), tops == vec2(top));
    return Stat(top, a.sum * factors.x + b.sum * factors.y, a.marks | b.marks);
}
