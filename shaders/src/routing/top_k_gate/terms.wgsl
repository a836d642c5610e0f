// Parts of the gradients that are summed over tokens: of every expert's bias, and of the temperature.
@group(0) @binding(8) var<storage, read_write> terms: array<f32>;
