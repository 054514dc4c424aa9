// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// What a compiled plan promises beyond its numbers.
@Suite struct OneDNNPlanTests {
  private static func classifier() -> Graph {
    var builder = GraphBuilder(name: "classifier", inputChannels: 3)
    builder.convolve("stem", 3, 24, kernel: 3, stride: 2, activation: .relu6)
    builder.invertedResidual("block1", 24, 24, kernel: 3, stride: 1, expansion: 4)
    builder.invertedResidual("block2", 24, 40, kernel: 5, stride: 2, expansion: 4)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("hidden", .dense(Dense(inputs: 40, outputs: 67)))
    builder.add("act", .activation(.relu))
    builder.add("fc", .dense(Dense(inputs: 67, outputs: 10)))
    return builder.build()
  }

  @Test(arguments: [1, 2, 4, 5])
  func resultForAPhotoDoesNotDependOnTheOthers(_ microBatch: Int) throws {
    let plan = try OneDNNEngine.plan(
      Self.classifier(), microBatch: microBatch, size: Extent2D(33))
    let photos = SampleNetworks.noise([9, 3, 33, 33])
    let together = try plan.run(photos)
    let stride = plan.inputStride
    for index in 0..<9 {
      let photo = Array(photos.elements[index * stride..<(index + 1) * stride])
      // Alone, and behind a different number of strangers.
      for strangers in 0..<3 {
        let others = SampleNetworks.noise([strangers, 3, 33, 33], seed: 99).elements
        let batch = Tensor(others + photo, shape: [strangers + 1, 3, 33, 33])
        let result = try plan.run(batch).elements.suffix(10)
        #expect(Array(result) == Array(together.elements[index * 10..<(index + 1) * 10]))
      }
    }
  }

  @Test(arguments: [1, 2, 3, 8])
  func featuresDoNotDependOnTheNumberOfThreads(_ threads: Int) throws {
    let graph = SampleNetworks.efficientNetLite0()
    let photos = SampleNetworks.noise([5, 3, 64, 64])
    let expected = try OneDNNEngine.plan(graph, size: Extent2D(64), threads: 1).run(photos)
    let plan = try OneDNNEngine.plan(graph, size: Extent2D(64), threads: threads)
    for _ in 0..<3 { #expect(try plan.run(photos) == expected) }
  }

  @Test func severalImagesAPassGiveTheSameNumbers() throws {
    let photos = SampleNetworks.noise([5, 3, 32, 32])
    let graph = Self.classifier()
    let plan = try OneDNNEngine.plan(
      graph, microBatch: 4, size: Extent2D(32), imagesPerPass: 3)
    let expected = try OneDNNEngine.plan(graph, microBatch: 4, size: Extent2D(32)).run(photos)
    expectClose(try plan.run(photos), expected, relative: 1e-5, absolute: 1e-5)
  }

  @Test func aPhotoOfNaNSpoilsNoOther() throws {
    let plan = try OneDNNEngine.plan(
      Self.classifier(), microBatch: 4, size: Extent2D(33), threads: 1)
    let photos = SampleNetworks.noise([3, 3, 33, 33])
    let expected = try plan.run(photos)
    var spoiled = photos
    spoiled.withUnsafeMutableElements { $0[..<(3 * 33 * 33)].update(repeating: .nan) }
    let results = try plan.run(spoiled).elements
    #expect(Array(results[10...]) == Array(expected.elements[10...]))
    // The memory of the pass is used again: nothing of the NaN may be left in it.
    #expect(try plan.run(photos) == expected)
  }

  @Test func mobileNetworksHaveNoInnerReorders() throws {
    let lite = try OneDNNEngine.plan(SampleNetworks.efficientNetLite0(), size: Extent2D(64))
    #expect(lite.innerReorders == 0)
    let resNet = try OneDNNEngine.plan(SampleNetworks.resNet50(), size: Extent2D(64))
    #expect(resNet.innerReorders == 0)
  }

  @Test func differentLayoutsAreBridgedByAReorder() throws {
    // A flatten of an image in the middle of a chain needs its channels first.
    var builder = GraphBuilder(name: "bridge", inputChannels: 16)
    builder.convolve("conv", 16, 16, kernel: 3, activation: .relu)
    builder.add("flatten", .flatten)
    builder.add("act", .activation(.sigmoid))
    let plan = try OneDNNEngine.plan(builder.build(), size: Extent2D(8))
    #expect(plan.innerReorders == 1)
  }

  @Test func activationMemoryIsShared() throws {
    let plan = try OneDNNEngine.plan(SampleNetworks.efficientNetLite0(), size: Extent2D(224))
    // The largest moment is the second block's expansion: 96 x 112 x 112 beside its input.
    let largest = (96 + 16) * 112 * 112 * 4
    let bytes = try plan.arenaBytes()
    #expect(bytes < largest + largest / 4)
    #expect(bytes >= largest)
  }

  @Test func runTouchesNoNewMemoryAfterWarmUp() throws {
    let plan = try OneDNNEngine.plan(
      Self.classifier(), microBatch: 4, size: Extent2D(64), threads: 1)
    let photos = SampleNetworks.noise([7, 3, 64, 64])
    var results = [Float](repeating: 0, count: 70)
    func run(_ times: Int) throws {
      try photos.withUnsafeElements { input in
        try results.withUnsafeMutableBufferPointer { output in
          for _ in 0..<times { try plan.run(input, into: output) }
        }
      }
    }
    try run(3)
    let before = pageFaultsOfThisThread()
    try run(50)
    // One activation of one image is 24 pages: memory taken in each run would show as 8400 faults.
    #expect(pageFaultsOfThisThread() - before < 100)
  }

  /// Pages this thread touched for the first time; other tests run on other threads.
  private func pageFaultsOfThisThread() -> Int {
    var usage = rusage()
    let thisThread: CInt = 1  // RUSAGE_THREAD, which Glibc's module does not export
    getrusage(.init(thisThread), &usage)
    return usage.ru_minflt
  }

  @Test func partsOfANetworkGiveTheWhole() throws {
    let graph = Self.classifier()
    let cut = try #require(graph.nodes.first { $0.path == "block1.add" }).id
    let photos = SampleNetworks.noise([3, 3, 32, 32])
    let size = Extent2D(32)
    let whole = try OneDNNEngine.plan(graph, size: size).run(photos)
    let features = try OneDNNEngine.plan(graph, size: size, to: cut).run(photos)
    #expect(features.shape == [3, 24, 16, 16])
    let rest = try OneDNNEngine.plan(graph, size: size, from: cut)
    #expect(try rest.run(features) == whole)
  }

  @Test func anEmptyPieceCopiesItsInput() throws {
    let graph = Self.classifier()
    let input = graph.nodes[0].id
    let photos = SampleNetworks.noise([3, 3, 8, 8])
    let plan = try OneDNNEngine.plan(graph, size: Extent2D(8), to: input)
    #expect(try plan.run(photos) == photos)
  }

  @Test func errorsNameTheLayer() throws {
    let graph = Self.classifier()
    var parameters = SampleNetworks.parameters(of: graph)
    parameters["block1.project.conv.weight"] = nil
    #expect(throws: NetworkError.missingParameters(["block1.project.conv.weight"])) {
      try OneDNNEngine.plan(graph, parameters: parameters, size: Extent2D(32))
    }
    parameters["block1.project.conv.weight"] = Tensor(zeros: [1, 2])
    #expect(
      throws: NetworkError.parameterShape(
        "block1.project.conv.weight", expected: [24, 96, 1, 1], found: [1, 2])
    ) {
      try OneDNNEngine.plan(graph, parameters: parameters, size: Extent2D(32))
    }
  }

  @Test func geometryTheLibraryRefusesIsATypedErrorWithTheLayersName() throws {
    var builder = GraphBuilder(name: "refused", inputChannels: 4)
    let window = Window2D(
      kernel: 3, padding: .explicit(EdgeInsets(top: -1, left: 0, bottom: 0, right: 0)))
    builder.add("cropping", .convolution(Convolution2D(inputs: 4, outputs: 4, window: window)))
    let graph = builder.build()
    let error = #expect(throws: ExecutionError.self) {
      try OneDNNEngine.plan(graph, size: Extent2D(8))
    }
    #expect(error?.description.contains("layer 'cropping'") == true)
    #expect(error?.description.contains("oneDNN") == true)
  }

  /// Memory that is not there is no missing kernel: the other engine would need as much.
  @Test func aLackOfMemoryIsNotHiddenByTheOtherEngine() throws {
    var builder = GraphBuilder(name: "huge", inputChannels: 4)
    builder.add("norm", .batchNormalization(BatchNormalization(channels: 4)))
    let graph = builder.build()
    let error = #expect(throws: ExecutionError.self) {
      _ = try OneDNNEngine(training: NoEngine()).compileTraining(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: .procedural(for: graph), freezing: everything(in: graph), batch: 2,
        size: Extent2D(1 << 21))
    }
    #expect(error?.isMissingKernel == false)
    #expect(error?.description.contains("out of memory") == true)
  }

  @Test func aPlanOfTheOtherEngineSaysSoAndWhy() throws {
    var builder = GraphBuilder(name: "cropping", inputChannels: 4)
    let window = Window2D(
      kernel: 3, padding: .explicit(EdgeInsets(top: -1, left: 0, bottom: 0, right: 0)))
    builder.add("cropping", .convolution(Convolution2D(inputs: 4, outputs: 4, window: window)))
    let refused = builder.build()
    let engine = OneDNNEngine(training: ReferenceEngine<Float>())
    func compile(_ graph: Graph) throws -> any TrainingPlan {
      try engine.compileTraining(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: .procedural(for: graph), freezing: everything(in: graph), batch: 2,
        size: Extent2D(22))
    }
    let plan = try compile(refused)
    #expect(plan.engineName == "reference (Float)")
    #expect(
      plan.refusal
        == .unsupported(operation: "negative padding", layer: "cropping", engine: engine.name))
    let usual = try compile(TrainingNetworks.mobile)
    #expect(usual.engineName == engine.name)
    #expect(usual.refusal == nil)
  }

  @Test func trainingWithoutAKernelIsGivenToTheOtherEngine() throws {
    var builder = GraphBuilder(name: "cropping", inputChannels: 4)
    let window = Window2D(
      kernel: 3, padding: .explicit(EdgeInsets(top: -1, left: 0, bottom: 0, right: 0)))
    builder.add("cropping", .convolution(Convolution2D(inputs: 4, outputs: 4, window: window)))
    let graph = builder.build()
    let engine = OneDNNEngine(training: NoEngine())
    #expect(
      throws: ExecutionError.unsupported(operation: "training", layer: "", engine: "no engine")
    ) {
      _ = try engine.compileTraining(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: .procedural(for: graph), freezing: everything(in: graph), batch: 2,
        size: Extent2D(8))
    }
  }

  @Test func nameSaysWhichLibraryRuns() {
    #expect(OneDNNEngine(training: NoEngine()).name.hasPrefix("oneDNN 2."))
  }

  @Test func thereIsAtLeastOneCore() {
    #expect(ComputeThreads.physicalCores >= 1)
    #expect(ComputeThreads.count >= 1)
  }
}
