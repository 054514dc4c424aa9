// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// How far an input is moved, in units of its last place, until its gradients agree.
///
/// A network's gradients jump where a rectifier's input passes zero, and a million rectifiers have one that
/// stands within rounding of it. On which side it falls depends on the order of sums: on the
/// processor, and on how many threads share a batch. PyTorch's own Float32 gradients of the ResNet-50
/// in `training_parity.json` are 7e-6 from its Double at 12 of 18 such inputs, 1.3e-4 at three and
/// 4.9e-3 at three. No one input is safe for every order, and a gradient that is wrong is wrong at all.
let roundings = [0, 1, -1, 2, -3]

extension Tensor<Float> {
  /// The same, each element so many units of its last place larger (roughly, and smaller where negative).
  func moved(ulps: Int) -> Tensor {
    let factor = 1 + Float(ulps) * Float.ulpOfOne
    return Tensor(elements.map { $0 * factor }, shape: shape)
  }
}
