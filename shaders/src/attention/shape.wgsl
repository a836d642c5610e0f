// Where an invocation is: sizes, the small inputs, the sequence at hand, and which keys a query sees.
// Linked to every attention kernel. All members of Params are set by name by the plan.
// Over the cap: Params is one struct, whatever the kernel.

struct Params {
    first_group: u32,   // this dispatch runs workgroups first_group .. first_group + group_count of the step
    group_count: u32,
    stream_from: u32,   // and stream positions stream_from .. stream_to of every sequence
    stream_to: u32,
    splits: u32,        // workgroups that share the keys of a tile, at most split_keys each
    split_keys: u32,
    batch: u32,
    q_heads: u32,
    kv_heads: u32,
    seq_q: u32,         // longest sequence
    seq_kv: u32,
    head_dim: u32,
    val_dim: u32,
    batch_rows: u32,    // rows of q over all sequences and heads
    packed_rows: u32,   // 1: rows are [total, heads, dim]; 0: [batch, heads, seq, dim]
    total_q: u32,       // packed rows of q, of k and v
    total_kv: u32,
    q_shift: u32,       // added to element indices: minus the first element of the bound window (wraps)
    k_shift: u32,
    v_shift: u32,
    o_shift: u32,       // o, d_o
    lse_shift: u32,
    score_shift: u32,   // score_bias, d_score_bias
    score_batch: u32,   // stride of score_bias in elements per batch entry: 0 if shared
    score_head: u32,    // stride per head: 0 if shared
    scale: f32,
    softcap: f32,
    bias: f32,
    bias_from_len: u32, // 1: add -ln(len_kv)
    low_shift: i32,     // key j is visible to query i only if j - i - off >= low_shift
    high_shift: i32,    //   and j - i - off <= high_shift
    top_left: u32,      // 1: and j <= i
    bottom_right: u32,  // mask/chunked.wgsl: 1: and j <= i + off; high_shift is the window's alone
    prefix: u32,        //   keys that a causal mask never hides
    chunk: u32,         //   keys in a chunk; 0 if there are no chunks
    sink_tokens: u32,   // mask_mod/listed.wgsl: keys from here on are hidden where j - i - off < gap_shift
    gap_shift: i32,
    block_q: u32,       //   queries and keys of a block of the block map
    block_kv: u32,
    map_columns: u32,   //   its stride per row of blocks, per head and per batch entry: 0 if shared
    map_head: u32,
    map_batch: u32,
    document_q_at: u32,
    document_kv_at: u32,
    block_map_at: u32,
    document_ranges_at: u32, // document_ranges.wgsl
    lens_q_at: u32,     // word of side where an input or a region starts; ABSENT if there is none
    lens_kv_at: u32,
    cu_q_at: u32,
    cu_kv_at: u32,
    table_at: u32,      // block table [batch, table_pages]
    table_pages: u32,
    page: u32,          // keys in a page
    pages: u32,
    head_bias_at: u32,
    key_bias_at: u32,
    slopes_at: u32,
    relative_at: u32,   // bias/relative.wgsl: input [q_heads, 2·reach + 1]
    reach: i32,
    relative_before: u32, // relative/: keys before the first query from which walks of tiles begin
    relative_walks: u32,  //   tiles of keys that a walk may begin with
    sink_at: u32,       // per query head, or per row if sink_rows is 1
    sink_rows: u32,
    sink_key_at: u32,   // sink_key.wgsl: input [kv_heads, head_dim]
    lse_at: u32,        // per row: lse (0 for a row without keys), softmax backward; 1/n, backward with a normaliser
    delta_at: u32,      // per row: delta, softmax backward; what d_o·v is lessened by, backward with a normaliser
    state_at: u32,      // accumulators between two dispatches of one workgroup
    row_sums_at: u32,   // per row: sum of dz, and of |i + off - j| dz
    key_sums_at: u32,   // per key and query head: sum of dz
    flags_at: u32,      // per row and per key: what is not finite
    log_norm_at: u32,   // input: per row, the logarithm of its normaliser
    weight_number: f32, // the weight's parameter
    count_power: f32,   // the power of a count that normalises
    row_width: u32,     // row_map.wgsl: dims of a row
    eps: f32,           //   what keeps a norm from 0
    log_width: f32,     //   ln(head_dim)
    key_bias_heads: u32, // 1: key_bias has a row for each key/value head
    key_penalty: f32,   // key_penalty.wgsl: ½·λ·scale
    seed_low: u32,      // dropout/counter.wgsl; seed_high as well
    seed_high: u32,
    dropout_seed_at: u32, // input: what is xored onto the seed
    drop_below: u32,    //   words below it drop their pair
    keep_scale: f32,    //   1/(1 - p)
    scale_shift: u32,   // io/keys_int8.wgsl: of k_scale and v_scale
    k_scale_at: u32,
    v_scale_at: u32,
    offset: f32,        // measures.wgsl: taken from measured weights
    offset_rows: u32,   //   but not in so many first queries of a sequence
    measures_at: u32,   // per row: cut and scale of weights that are re-weighted
    levels_at: u32,     // per row: what their gradients are lessened by
    means_at: u32,      // local-linear rows, per row: lse and mean of r·k, forward; means of r·k and of d_o·v, backward
    query_penalty: f32, // query_penalty.wgsl: the same of queries
    query_penalty_at: u32, // per row: what is taken from its scores
    rho_at: u32,        // global/: input, a number per query head
    heads_at: u32,      //   per batch entry and query head: two sums over its rows
    norm_eps: f32,      //   what keeps its norm from 0
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> side: array<u32>;

const ABSENT: u32 = 0xffffffffu;
// Scores saturate at LIMIT; a hidden score is HIDDEN, told apart by HIDDEN_BELOW. All finite: WGSL may assume that there is no infinity.
const LIMIT: f32 = 3.0e38;
const HIDDEN: f32 = -3.1e38;
const HIDDEN_BELOW: f32 = -3.05e38;
const NEG_INF_BITS: u32 = 0xff800000u;
const NAN_BITS: u32 = 0x7fc00000u;

// The sequence and head that a workgroup works on.
struct Sequence {
    batch: u32,
    q_head: u32,
    kv_head: u32,
    len_q: u32,
    len_kv: u32,
    off: i32,        // len_kv - len_q
    q_row: u32,      // row (of head_dim or val_dim elements) of query 0 in q, o, d_o
    q_step: u32,     // rows from one query to the next
    k_row: u32,      // row of key 0 in k and v
    k_step: u32,
    stat_row: u32,   // index of query 0 in lse and in the per-row regions of side
    key_stat: u32,   // index of key 0 among the keys of all batch entries
    bias_row: u32,   // index of key 0 in key_bias
    batch_bias: f32, // what is added to every score of this batch entry
    bias: f32,       // what is added to every score of this head
    slope: f32,      // ALiBi
}
var<private> at: Sequence;

// The word of side that is read, and dropped, in the place of an input that is not there: the last, which belongs to nothing. A branch instead
// would be written out for every pair of a tile: a dozen times the time to compile on one driver.
fn nowhere() -> u32 { return arrayLength(&side) - 1u; }
fn side_f32(word: u32) -> f32 { return bitcast<f32>(side[word]); }

// ln of a count from 1 to 2^32 - 1, to 2 ULP: ln(2^e·m) = e·ln 2 + 2·atanh((m - 1)/(m + 1)). The builtin is not good enough near 1; a quotient
// that may round would leave something of ln 1.
fn ln_count(count: u32) -> f32 {
    let exponent = firstLeadingBit(count);
    let m = f32(count) * bitcast<f32>((127u - exponent) << 23u);
    let x = (m - 1.0) / (m + 1.0);
    let y = x * x;
    let series = 1.0 + y * (0.33333334 + y * (0.2 + y * (0.14285715 + y * (0.11111111 + y * (0.09090909 + y * 0.07692308)))));
    return f32(exponent) * 0.6931472 + 2.0 * x * series;
}

// Reads lengths and per-head numbers. Lengths from a buffer are cut to what the operands hold, so no index can leave them.
fn enter(batch: u32, q_head: u32) {
    at.batch = batch;
    at.kv_head = q_head / (params.q_heads / params.kv_heads);
    at.len_q = params.seq_q;
    at.len_kv = params.seq_kv;
    if params.packed_rows == 1u {
        let q_from = min(side[params.cu_q_at + batch], params.total_q);
        let kv_from = min(side[params.cu_kv_at + batch], params.total_kv);
        // of a range that runs backward nothing is left
        at.len_q = min(clamp(side[params.cu_q_at + batch + 1u], q_from, params.total_q) - q_from, params.seq_q);
        at.len_kv = min(clamp(side[params.cu_kv_at + batch + 1u], kv_from, params.total_kv) - kv_from, params.seq_kv);
        // what is empty at the very end stands at the last row: its rows are read, and not used, where several sequences go in step
        let q_first = min(q_from, max(params.total_q, 1u) - 1u);
        let kv_first = min(kv_from, max(params.total_kv, 1u) - 1u);
        at.q_row = q_first * params.q_heads + q_head;
        at.k_row = kv_first * params.kv_heads + at.kv_head;
        at.q_step = params.q_heads;
        at.k_step = params.kv_heads;
        at.stat_row = q_head * params.total_q + q_first;
        at.key_stat = kv_first;
        at.bias_row = at.key_stat + at.kv_head * params.total_kv * params.key_bias_heads;
    } else {
        if params.lens_q_at != ABSENT { at.len_q = min(side[params.lens_q_at + batch], params.seq_q); }
        if params.lens_kv_at != ABSENT { at.len_kv = min(side[params.lens_kv_at + batch], params.seq_kv); }
        at.q_row = (batch * params.q_heads + q_head) * params.seq_q;
        at.k_row = (batch * params.kv_heads + at.kv_head) * params.seq_kv;
        at.q_step = 1u;
        at.k_step = 1u;
        at.stat_row = at.q_row;
        at.key_stat = batch * params.seq_kv;
        at.bias_row = select(at.key_stat, at.k_row, params.key_bias_heads == 1u);
    }
    at.off = i32(at.len_kv) - i32(at.len_q);
    at.batch_bias = params.bias;
    if (params.bias_from_len == 1u) & (at.len_kv > 0u) { at.batch_bias -= ln_count(at.len_kv); }
    enter_head(q_head);
}

// Reads the numbers of a query head of the batch entry at hand.
fn enter_head(q_head: u32) {
    at.q_head = q_head;
    at.bias = at.batch_bias;
    if params.head_bias_at != ABSENT { at.bias += side_f32(params.head_bias_at + q_head); }
    at.slope = 0.0;
    if params.slopes_at != ABSENT { at.slope = side_f32(params.slopes_at + q_head); }
}

// Enters the n-th (batch, head) that shares a matrix of the score bias: its own batch entry and head, where it has them.
fn enter_sharer(matrix: u32, n: u32) {
    let own_heads = select(1u, params.q_heads, params.score_head > 0u);
    let shared_heads = select(params.q_heads, 1u, params.score_head > 0u);
    let batch = select(n / shared_heads, matrix / own_heads, params.score_batch > 0u);
    enter(batch, select(n % shared_heads, matrix % own_heads, params.score_head > 0u));
}

// |i + off - j|
fn distance(i: u32, j: u32) -> f32 {
    return f32(abs(i32(i) + at.off - i32(j)));
}

// The input key_bias of key j, 0 without one: HIDDEN if -inf, which hides the key.
fn given_key_bias(j: u32) -> f32 {
    let there = params.key_bias_at != ABSENT;
    let bits = side[select(nowhere(), params.key_bias_at + at.bias_row + min(j, max(at.len_kv, 1u) - 1u), there)];
    let value = select(clamp(bitcast<f32>(bits), -LIMIT, LIMIT), HIDDEN, bits == NEG_INF_BITS);
    return select(0.0, value, there);
}

// The sink's logit for query i of the head at hand: HIDDEN if there is none.
fn sink_of(i: u32) -> f32 {
    let there = params.sink_at != ABSENT;
    // rows of several heads may be at hand, so that stat_row is not that of the head
    let rows = select((at.batch * params.q_heads + at.q_head) * params.seq_q, at.stat_row, params.packed_rows == 1u);
    let by_row = params.sink_rows == 1u;
    let word = params.sink_at + select(at.q_head, rows + min(i, max(at.len_q, 1u) - 1u), by_row);
    let logit = side_f32(select(nowhere(), word, there));
    let given = select(clamp(logit, -LIMIT, LIMIT), HIDDEN, by_row & is_hidden(logit));
    return select(HIDDEN, given, there);
}

fn is_hidden(z: f32) -> bool { return z < HIDDEN_BELOW; }

fn is_not_finite(bits: u32) -> bool { return (bits & 0x7f800000u) == 0x7f800000u; }
