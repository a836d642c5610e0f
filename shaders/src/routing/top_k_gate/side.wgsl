// Small inputs: biases, temperature, mask of tokens.
@group(0) @binding(2) var<storage, read> side: array<u32>;
