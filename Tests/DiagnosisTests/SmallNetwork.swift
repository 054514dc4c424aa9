// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors

/// A network of eight convolutions with batch norms whose running statistics are those of its photos,
/// and a head that tells its photos apart: healthy, until a test breaks it.
struct SmallNetwork {
  static let size = Extent2D(8)
  let graph: Graph
  var parameters: Parameters
  let photos: LabelledTensors

  /// - Parameter seed: of the photos.
  init(seed: UInt64 = 1) throws {
    var builder = GraphBuilder(name: "small", inputChannels: 3)
    var channels = 3
    for index in 0..<8 {
      if index == 4 { builder.beginGroup("late") }
      builder.add(
        ParameterPath("conv\(index)"),
        .convolution(
          Convolution2D(
            inputs: channels, outputs: 8,
            window: Window2D(kernel: 3, padding: .explicit(EdgeInsets(1))))))
      builder.add(
        ParameterPath("bn\(index)"), .batchNormalization(BatchNormalization(channels: 8)))
      builder.add(ParameterPath("relu\(index)"), .activation(.relu))
      channels = 8
    }
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 8, outputs: 2)))
    graph = builder.build()
    photos = SmallNetwork.photos(48, seed: seed)
    parameters = .procedural(for: graph)
    let network = try phased()
    parameters = try Recalibration(
      network, on: photos, batch: 48, seed: 1
    ).parameters
  }

  /// Noise of two different contrasts.
  static func photos(_ count: Int, seed: UInt64) -> LabelledTensors {
    let stride = 3 * 64
    let storage = AlignedStorage<Float>(count: count * stride)
    for photo in 0..<count {
      var stream = RandomStream(seed: seed, purpose: .procedural, sample: photo)
      let contrast = photo % 2 == 0 ? 0.5 : 1.5
      for index in 0..<stride {
        storage.elements[photo * stride + index] = Float(stream.normal() * contrast)
      }
    }
    return LabelledTensors(storage: storage, stride: stride, labels: (0..<count).map { $0 % 2 })
  }

  /// The network in pieces, on the reference engine.
  func phased(batch: Int = 48) throws -> PhasedNetwork {
    let engine = ReferenceEngine<Float>()
    return try PhasedNetwork(
      graph, parameters: parameters, compiler: Compiler(inference: engine, training: engine),
      batch: batch, size: SmallNetwork.size)
  }

  /// Multiplies the running variance of a layer, and moves its running mean by deviations.
  mutating func damage(_ layer: String, variance factor: Float = 1, shift: Float = 0) throws {
    let path = ParameterPath(layer)
    let variance = try parameters.tensor(path.appending("running_var"))
    let mean = try parameters.tensor(path.appending("running_mean"))
    parameters[path.appending("running_mean")] = Tensor(
      zip(mean.elements, variance.elements).map { $0 + shift * $1.squareRoot() },
      shape: mean.shape)
    parameters[path.appending("running_var")] = Tensor(
      variance.elements.map { $0 * factor }, shape: variance.shape)
  }

  /// Gives every channel of a layer the running statistics of the one before it.
  mutating func rotate(_ layer: String) throws {
    for name in ["running_mean", "running_var"] {
      let path = ParameterPath(layer).appending(name)
      let own = try parameters.tensor(path)
      parameters[path] = Tensor(
        Array(own.elements.suffix(1) + own.elements.dropLast()), shape: own.shape)
    }
  }

  /// Every layer against the photos.
  func factLayers() throws -> [BatchNormFacts.Layer] {
    let network = try phased()
    let own = try network.run(photos, batchStatistics: .all, batch: 48, seed: 1)
    let asRun = try network.run(photos, batchStatistics: .none, batch: 48, seed: 1)
    return try network.layers.map { layer in
      BatchNormFacts.Layer(
        path: layer.path, group: layer.group,
        own: try LayerShift(try #require(own.moments[layer.path]), of: layer, in: parameters),
        asRun: try LayerShift(try #require(asRun.moments[layer.path]), of: layer, in: parameters),
        isInitial: false)
    }
  }
}
