// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawAnswers
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawImages
import ThawInference
import ThawNetwork
import ThawTensors

/// What the vectors of weights without a classifier are.
struct HeadlessVectorTests {
  private let context = StageContext(
    console: Console(isQuiet: true), threads: 1, pretrained: PretrainedStore(directory: "none"))

  /// Two groups of one convolution each and a pooling; with `classes` a head behind them.
  private func model(classes: [String]) -> StoredModel {
    var builder = GraphBuilder(name: "small", inputChannels: 3)
    let window = Window2D(kernel: 3, stride: 2)
    builder.add("conv1", .convolution(Convolution2D(inputs: 3, outputs: 8, window: window)))
    builder.beginGroup("late")
    builder.add("conv2", .convolution(Convolution2D(inputs: 8, outputs: 12, window: window)))
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    if !classes.isEmpty {
      builder.beginGroup("head")
      builder.add("fc", .dense(Dense(inputs: 12, outputs: classes.count)))
    }
    let graph = builder.build()
    let contract = Preprocessing.unit(inputSize: 16)
    return StoredModel(
      graph: graph, parameters: .procedural(for: graph), preprocessing: contract,
      record: ModelRecord(
        thawVersion: "1", architecture: "small", classNames: classes, preprocessing: contract.json))
  }

  /// The last group of such weights is no head: its result is the vector, not what goes into it.
  @Test func vectorsOfWeightsWithoutAClassifierAreTheirFeatures() throws {
    for classes in [[], ["a", "b"]] {
      let extractor = try FeatureExtractor(model(classes: classes), context: context)
      #expect(extractor.layer == "flatten" && extractor.length == 12, "\(classes)")
    }
  }
}
