// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors

@Suite struct ParametersTests {
  private var graph: Graph {
    var builder = GraphBuilder(name: "test", inputChannels: 2)
    builder.add(
      "layer1.0.conv",
      .convolution(
        Convolution2D(inputs: 2, outputs: 4, window: Window2D(kernel: 3), groups: 2, hasBias: true))
    )
    builder.add(
      "layer1.0.bn", .batchNormalization(BatchNormalization(channels: 4, hasScale: false)))
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 16, outputs: 3, hasBias: false)))
    return builder.build()
  }

  @Test func everyArrayHasItsPyTorchNameShapeAndRole() {
    let expected: [(ParameterPath, Shape, ParameterRole)] = [
      ("layer1.0.conv.weight", [4, 1, 3, 3], .weight), ("layer1.0.conv.bias", [4], .bias),
      ("layer1.0.bn.bias", [4], .normShift), ("layer1.0.bn.running_mean", [4], .runningMean),
      ("layer1.0.bn.running_var", [4], .runningVariance), ("fc.weight", [3, 16], .weight),
    ]
    #expect(graph.parameters.map(\.path) == expected.map(\.0))
    #expect(graph.parameters.map(\.shape) == expected.map(\.1))
    #expect(graph.parameters.map(\.role) == expected.map(\.2))
  }

  @Test func whatFitsIsValidAndMoreIsAllowed() throws {
    var parameters = Parameters.procedural(for: graph)
    parameters["something.else"] = Tensor([.nan], shape: [1])
    try parameters.validate(for: graph)
    #expect(parameters.count == 7)
  }

  @Test func allMissingArraysAreListed() {
    var parameters = Parameters.procedural(for: graph)
    parameters["layer1.0.conv.bias"] = nil
    parameters["fc.weight"] = nil
    #expect(throws: NetworkError.missingParameters(["fc.weight", "layer1.0.conv.bias"])) {
      try parameters.validate(for: graph)
    }
  }

  @Test func aWrongShapeIsNamed() {
    var parameters = Parameters.procedural(for: graph)
    parameters["fc.weight"] = Tensor(zeros: [16, 3])
    let error = NetworkError.parameterShape("fc.weight", expected: [3, 16], found: [16, 3])
    #expect(throws: error) { try parameters.validate(for: graph) }
    #expect(error.description.contains("'fc.weight' is [16, 3], the layer expects [3, 16]"))
  }

  @Test func valuesThatAreNotFiniteAreCounted() {
    var parameters = Parameters.procedural(for: graph)
    parameters["layer1.0.bn.running_var"] = Tensor([1, .nan, .infinity, 2], shape: [4])
    #expect(throws: NetworkError.nonFiniteParameter("layer1.0.bn.running_var", count: 2)) {
      try parameters.validate(for: graph)
    }
  }

  /// What no training leaves and no root can be taken of.
  @Test func variancesBelowZeroAreCounted() throws {
    var parameters = Parameters.procedural(for: graph)
    let path: ParameterPath = "layer1.0.bn.running_var"
    parameters[path] = Tensor([1, -0.5, -2, 0], shape: [4])
    #expect(throws: NetworkError.unusableVariance(path, count: 2)) {
      try parameters.validate(for: graph)
    }
    #expect(parameters.replaceLostStatistics(of: graph) == ["layer1.0.bn"])
    try parameters.validate(for: graph)
    #expect(parameters[path]?.elements == [1, 1, 1, 1])
    #expect(parameters["layer1.0.bn.running_mean"]?.elements == [0, 0, 0, 0])
    #expect(parameters.replaceLostStatistics(of: graph).isEmpty)
    parameters["layer1.0.bn.running_mean"] = Tensor([1, .nan, 0, 0], shape: [4])
    #expect(parameters.replaceLostStatistics(of: graph) == ["layer1.0.bn"])
  }

  @Test func pathsHaveParentsAndLeaves() {
    let path: ParameterPath = "layer4.1.bn2.running_mean"
    #expect(path.leaf == "running_mean" && path.parent == "layer4.1.bn2")
    #expect(ParameterPath("weight").leaf == "weight" && ParameterPath("weight").parent == "")
    #expect(ParameterPath("").appending("fc") == "fc")
    #expect(ParameterPath("fc").appending("weight") == "fc.weight")
    #expect(ParameterPath("a.Z") < "a.b" && ParameterPath("a") < "a.b")
  }
}
