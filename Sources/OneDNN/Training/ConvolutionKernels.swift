// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// The kernels of a convolution for a fixed number of images a pass, each bound once a lane.
final class ConvolutionKernels {
  /// Images a pass.
  let images: Int
  /// Whether bias, residual and rectifier happen inside the forward kernel (the bias always does).
  let isFused: Bool
  let forward: OneDNNPrimitive?
  let data: OneDNNPrimitive?
  let weights: OneDNNPrimitive?
  let forwardCalls: [OneDNNCall]
  let dataCalls: [OneDNNCall]
  let weightCalls: [OneDNNCall]
  /// What they need while they run.
  let scratchBytes: Int

  /// What kernels for different numbers of images have in common.
  struct Description {
    let layer: ParameterPath
    let input: Shape
    let output: Shape
    let weightShape: Shape
    let window: thaw_dnnl_window
    let hasBias: Bool
    let hasResidual: Bool
    let rectifier: thaw_dnnl_function?
    /// Which of the three passes these kernels are for.
    let needsForward: Bool
    let needsData: Bool
    let needsWeights: Bool
    let lanes: Int

    /// The forward pass alone, without an epilogue.
    var plain: Description {
      Description(
        layer: layer, input: input, output: output, weightShape: weightShape, window: window,
        hasBias: hasBias, hasResidual: false, rectifier: nil, needsForward: true, needsData: false,
        needsWeights: false, lanes: lanes)
    }
  }

  /// Layouts of the three uses of the weights.
  struct WeightLayouts {
    let forward: OneDNNLayout?
    let data: OneDNNLayout?
    let gradient: OneDNNLayout?
  }

  /// Compiles for `images` images.
  ///
  /// - Parameter like: layouts of the weights to keep to; nil lets the library choose.
  init(
    _ d: Description, images: Int, like: WeightLayouts?
  ) throws {
    self.images = images
    func layout(_ shape: Shape) throws -> OneDNNLayout {
      try OneDNNLayout(
        Shape([images] + shape.extents.dropFirst()), THAW_DNNL_CHANNELS_LAST, d.layer)
    }
    let (source, destination) = (try layout(d.input), try layout(d.output))
    let any = try OneDNNLayout(d.weightShape, THAW_DNNL_ANY, d.layer)
    let bias = d.hasBias ? try OneDNNLayout([d.output[1]], THAW_DNNL_DENSE, d.layer) : nil
    func makeForward(_ epilogue: [thaw_dnnl_epilogue]) throws -> OneDNNPrimitive {
      try OneDNNPrimitive("convolution", d.layer) { made in
        withUnsafePointer(to: d.window) {
          thaw_dnnl_convolution(
            made, source.handle, (like?.forward ?? any).handle, bias?.handle, destination.handle,
            $0, epilogue, CInt(epilogue.count))
        }
      }
    }
    func makeBackward(_ ofWeights: Bool, _ kept: OneDNNLayout?) throws -> OneDNNPrimitive {
      try OneDNNPrimitive("convolution backward", d.layer) { made in
        withUnsafePointer(to: d.window) {
          thaw_dnnl_convolution_backward(
            made, ofWeights, source.handle, (kept ?? any).handle, destination.handle, $0)
        }
      }
    }
    var epilogue: [thaw_dnnl_epilogue] = []
    if d.hasResidual {
      epilogue.append(thaw_dnnl_epilogue(function: THAW_DNNL_ADD, operand: destination.handle))
    }
    if let rectifier = d.rectifier {
      epilogue.append(thaw_dnnl_epilogue(function: rectifier, operand: nil))
    }
    let fused = d.needsForward ? try ifAvailable { try makeForward(epilogue) } : nil
    if !d.needsForward {
      (forward, isFused) = (nil, true)
    } else if let fused, epilogue.isEmpty || !fused.isPlainLoop {
      (forward, isFused) = (fused, true)
    } else {
      (forward, isFused) = (try makeForward([]), false)
    }
    data = d.needsData ? try makeBackward(false, like?.data) : nil
    weights = d.needsWeights ? try makeBackward(true, like?.gradient) : nil
    forwardCalls =
      try forward.map { [isFused] forward in
        var arguments: [(Int, OneDNNLayout)] = [
          (Int(THAW_DNNL_SOURCE.rawValue), source),
          (Int(THAW_DNNL_WEIGHTS.rawValue), try forward.layout(THAW_DNNL_WEIGHTS)),
          (Int(THAW_DNNL_DESTINATION.rawValue), destination),
        ]
        if let bias { arguments.append((Int(THAW_DNNL_BIAS.rawValue), bias)) }
        if isFused && d.hasResidual {
          arguments.append((Int(THAW_DNNL_EPILOGUE_SOURCE.rawValue), destination))
        }
        return try (0..<d.lanes).map { _ in
          try OneDNNCall("convolution", d.layer, forward, arguments)
        }
      } ?? []
    dataCalls =
      try data.map { data in
        let weights = try data.layout(THAW_DNNL_WEIGHTS)
        return try (0..<d.lanes).map { _ in
          try OneDNNCall(
            "convolution backward", d.layer, data,
            [
              (Int(THAW_DNNL_DESTINATION_GRADIENT.rawValue), destination),
              (Int(THAW_DNNL_WEIGHTS.rawValue), weights),
              (Int(THAW_DNNL_SOURCE_GRADIENT.rawValue), source),
            ])
        }
      } ?? []
    weightCalls =
      try weights.map { weights in
        let gradient = try weights.layout(THAW_DNNL_WEIGHTS_GRADIENT)
        return try (0..<d.lanes).map { _ in
          try OneDNNCall(
            "convolution backward", d.layer, weights,
            [
              (Int(THAW_DNNL_SOURCE.rawValue), source),
              (Int(THAW_DNNL_DESTINATION_GRADIENT.rawValue), destination),
              (Int(THAW_DNNL_WEIGHTS_GRADIENT.rawValue), gradient),
            ])
        }
      } ?? []
    scratchBytes =
      try [forward, data, weights].compactMap { try $0?.layout(THAW_DNNL_SCRATCHPAD).bytes }.max()
      ?? 0
  }

  /// The layouts its kernels want for the weights.
  func weightLayouts() throws(ExecutionError) -> WeightLayouts {
    WeightLayouts(
      forward: try forward?.layout(THAW_DNNL_WEIGHTS),
      data: try data?.layout(THAW_DNNL_WEIGHTS),
      gradient: try weights?.layout(THAW_DNNL_WEIGHTS_GRADIENT))
  }
}
