// Self-test of what attention is made of: softmax over 16 keys with a causal mask, an element of the output an invocation.

@group(0) @binding(1) var<storage, read> query: array<f32>;             // [ROWS, WIDTH]
@group(0) @binding(2) var<storage, read> key: array<f32>;               // [KEYS, WIDTH]
@group(0) @binding(3) var<storage, read> value: array<f32>;             // [KEYS, WIDTH]
@group(0) @binding(4) var<storage, read_write> output: array<f32>;      // [ROWS, WIDTH]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.x / WIDTH;
  let dim = id.x % WIDTH;
  var acc = 0.0;
  var largest = -1e30;
  var sum = 0.0;
  for (var j = 0u; j <= row % KEYS; j++) {
    var score = 0.0;
    for (var d = 0u; d < WIDTH; d++) {
      score += query[row * WIDTH + d] * key[j * WIDTH + d];
    }
    score *= 0.25;
    let before = largest;
    largest = max(largest, score);
    let keep = exp(before - largest);
    let weight = exp(score - largest);
    sum = sum * keep + weight;
    acc = acc * keep + weight * value[j * WIDTH + dim];
  }
  output[id.x] = acc / sum;
}
