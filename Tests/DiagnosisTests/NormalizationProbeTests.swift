// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct NormalizationProbeTests {
  /// Two convolutions with batch norms, a shortcut beside the second.
  private var graph: Graph {
    func convolution(_ inputs: Int, _ outputs: Int) -> ThawNetwork.Operation {
      .convolution(
        Convolution2D(
          inputs: inputs, outputs: outputs,
          window: Window2D(kernel: 3, padding: .explicit(EdgeInsets(1)))))
    }
    var builder = GraphBuilder(name: "probe", inputChannels: 3)
    builder.add("conv1", convolution(3, 4))
    builder.add("bn1", .batchNormalization(BatchNormalization(channels: 4)))
    let entry = builder.add("relu1", .activation(.relu))
    builder.add("shortcut", convolution(4, 4), [entry])
    let shortcut = builder.last
    builder.add("conv2", convolution(4, 4), [entry])
    builder.add("bn2", .batchNormalization(BatchNormalization(channels: 4)))
    builder.add("add", .add, [builder.last, shortcut])
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 4, outputs: 2)))
    return builder.build()
  }

  private var compiler: Compiler {
    let engine = ReferenceEngine<Float>()
    return Compiler(inference: engine, training: engine)
  }

  @Test func momentsAreThoseOfWhatArrivesAtTheLayer() throws {
    let (graph, parameters) = (graph, Parameters.procedural(for: graph))
    let probe = try NormalizationProbe(
      graph, parameters: parameters, layers: 4, compiler: compiler, size: Extent2D(6))
    #expect(probe.layers.map(\.path) == ["bn1", "bn2"])
    let photos = 11
    let pixels = Tensor<Float>.procedural("pixels", shape: [photos, 3, 6, 6])
    let moments = try probe.moments(photos: photos, elementsPerPhoto: 108) { range, output in
      pixels.withUnsafeElements {
        _ = output.update(fromContentsOf: $0[range.lowerBound * 108..<range.upperBound * 108])
      }
    }
    #expect(moments.map(\.count) == [photos, photos])
    // The batch norm behind a network cut before it, by hand.
    for (index, end) in ["conv1", "conv2"].enumerated() {
      let node = try #require(graph.nodes.first { $0.path == ParameterPath(end) })
      let values = try compiler.compileInference(
        graph.ending(at: node.id), parameters: parameters, microBatch: 4, size: Extent2D(6)
      ).run(pixels)
      for channel in 0..<4 {
        var (sum, square) = (0.0, 0.0)
        for photo in 0..<photos {
          for pixel in 0..<36 {
            let value = Double(values[(photo * 4 + channel) * 36 + pixel])
            sum += value
            square += value * value
          }
        }
        let count = Double(photos * 36)
        let found = moments[index].population(0..<photos)
        expectClose([found.mean[channel]], [sum / count], relative: 1e-5, absolute: 1e-5)
        expectClose(
          [found.variance[channel]], [square / count - sum * sum / count / count],
          relative: 1e-4, absolute: 1e-5)
      }
    }
  }

  @Test func aNetworkEndsWhereItIsToldWithWhatIsNeeded() throws {
    let end = try #require(graph.nodes.first { $0.path == "conv2" })
    let part = graph.ending(at: end.id)
    #expect(part.nodes.map(\.path) == ["input", "conv1", "bn1", "relu1", "conv2"])
    #expect(part.output.path == "conv2")
  }
}
