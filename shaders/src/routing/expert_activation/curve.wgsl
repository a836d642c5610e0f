// What the activations between an expert's products share: a value with its slope, and the sigmoid, whose exponentials never overflow.
struct Curve {
    value: vec4<f32>,
    slope: vec4<f32>,
}

struct Sigmoid {
    value: vec4<f32>,   // σ(z)
    rest: vec4<f32>,    // 1 - σ(z)
}

fn sigmoid(z: vec4<f32>) -> Sigmoid {
    let e = exp(-abs(z));
    let large = 1.0 / (1.0 + e);     // of |z|
    let small = e / (1.0 + e);
    let is_negative = z < vec4(0.0);
    return Sigmoid(select(large, small, is_negative), select(small, large, is_negative));
}
