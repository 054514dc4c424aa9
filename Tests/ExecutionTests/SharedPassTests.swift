// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// An image that several threads share: the bits are those of one thread.
@Suite(.serialized) struct SharedPassTests {
  struct Geometry: CustomStringConvertible {
    var inputs = 64
    var outputs = 64
    var kernel = 3
    var stride = 1
    var dilation = 1
    var groups = 1
    var side = 28

    var description: String {
      "\(inputs)-\(outputs), kernel \(kernel), stride \(stride), dilation \(dilation), groups"
        + " \(groups), side \(side)"
    }
  }

  /// A convolution with what may follow it, and all that is done to an image besides.
  private static func network(_ geometry: Geometry) -> Graph {
    var builder = GraphBuilder(name: "shared", inputChannels: 3)
    builder.convolve("stem", 3, geometry.inputs, kernel: 3, activation: .relu)
    let stem = builder.last
    var window = Window2D(
      kernel: geometry.kernel, stride: geometry.stride,
      padding: .explicit(EdgeInsets(geometry.kernel / 2 * geometry.dilation)))
    window.dilation = Extent2D(geometry.dilation)
    builder.add(
      "conv",
      .convolution(
        Convolution2D(
          inputs: geometry.inputs, outputs: geometry.outputs, window: window,
          groups: geometry.groups, hasBias: true)))
    if geometry.inputs == geometry.outputs && geometry.stride == 1 {
      builder.add("add", .add, [builder.last, stem])
    }
    builder.add("act", .activation(.silu))
    builder.add("norm", .batchNormalization(BatchNormalization(channels: geometry.outputs)))
    builder.add("sigmoid", .activation(.sigmoid))
    builder.add(
      "maximum",
      .pooling(.maximum, Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))))
    builder.add(
      "average",
      .pooling(
        .average(includesPadding: false),
        Window2D(kernel: 3, stride: 1, padding: .explicit(EdgeInsets(1)))))
    builder.add("pool", .globalAveragePooling)
    return builder.build()
  }

  @Test(arguments: [
    Geometry(), Geometry(outputs: 40, kernel: 1), Geometry(inputs: 24, outputs: 20, side: 57),
    Geometry(kernel: 5, stride: 2, side: 41), Geometry(dilation: 2, side: 31),
    Geometry(outputs: 128, kernel: 1, stride: 2), Geometry(groups: 64, side: 57),
    Geometry(inputs: 72, outputs: 72, kernel: 5, stride: 2, groups: 72, side: 57),
    Geometry(groups: 8), Geometry(inputs: 128, outputs: 128, groups: 32, side: 29),
    Geometry(inputs: 64, outputs: 96, kernel: 7, side: 15),
  ])
  func anyNumberOfThreadsGivesTheSameBits(_ geometry: Geometry) throws {
    let graph = Self.network(geometry)
    let size = Extent2D(height: geometry.side, width: geometry.side + 2)
    let photo = SampleNetworks.noise([1, 3, size.height, size.width])
    let expected = try OneDNNEngine.plan(graph, size: size, threads: 1).run(photo)
    for threads in 2...5 {
      let plan = try OneDNNEngine.plan(graph, size: size, threads: threads)
      for _ in 0..<3 { #expect(try plan.run(photo) == expected, "\(threads) threads") }
    }
  }

  /// Some images by lanes and the rest shared, in any mixture.
  @Test func batchesOfEveryLengthGiveTheSameBits() throws {
    let graph = SampleNetworks.efficientNetLite0()
    let size = Extent2D(96)
    let photos = SampleNetworks.noise([7, 3, 96, 96])
    let expected = try OneDNNEngine.plan(graph, size: size, threads: 1).run(photos)
    let stride = photos.count / 7
    for threads in [2, 3, 4, 8] {
      let plan = try OneDNNEngine.plan(graph, size: size, threads: threads)
      for count in 1...7 {
        let some = Tensor(
          Array(photos.elements[..<(count * stride)]), shape: [count, 3, 96, 96])
        #expect(try plan.run(some).elements == Array(expected.elements[..<(count * 1280)]))
      }
    }
  }

  /// What takes the time of the usual networks is cut. Nothing else here would notice if nothing was.
  @Test func nearlyEverythingIsCut() throws {
    for graph in [SampleNetworks.efficientNetLite0(), SampleNetworks.resNet50()] {
      let plan = try OneDNNEngine.plan(graph, size: Extent2D(224), threads: 2)
      let parts = try plan.parts()
      let whole = parts.filter { $0.parts == 1 }
      #expect(whole.count <= 2, "\(whole)")
      #expect(parts.allSatisfy { $0.parts <= 2 })
    }
  }

  /// A worker uses other threads as far as each run says, and a run of several photos, too.
  @Test func workersShareAsFarAsTheyMay() throws {
    let photos = SampleNetworks.noise([3, 3, 96, 96])
    let plan = try OneDNNEngine.plan(
      SampleNetworks.efficientNetLite0(), size: Extent2D(96), threads: 1)
    let expected = try plan.run(photos)
    let worker = try plan.makeWorker(threads: 3)
    for threads in [1, 3, 2, 4, 1] {
      for count in 1...3 {
        let elements = count * photos.count / 3
        var results = [Float](repeating: 0, count: count * 1280)
        try photos.withUnsafeElements { input in
          try results.withUnsafeMutableBufferPointer {
            try worker.run(
              UnsafeBufferPointer(rebasing: input[..<elements]), into: $0, threads: threads)
          }
        }
        #expect(results == Array(expected.elements[..<(count * 1280)]))
      }
    }
  }

  /// What kernels are tried by that no test has seen.
  @Test(arguments: [2, 3, 4]) func aTrialTellsWhetherPartsAgree(_ count: Int) throws {
    for graph in [SampleNetworks.efficientNetLite0(), SampleNetworks.resNet50()] {
      let plan = try OneDNNEngine.plan(graph, size: Extent2D(96), threads: count)
      let whole = try plan.partsThatAgree(count)
      #expect(whole.cut > 20)
      #expect(whole.agreeing == whole.cut)
      #expect(try plan.partsThatAgree(count, leavingOut: 1) == (whole.cut, 0))
    }
  }

  /// Who computes a part differs from pass to pass; what it computes does not.
  @Test func everyPassGivesTheSameBits() throws {
    let plan = try OneDNNEngine.plan(
      SampleNetworks.efficientNetLite0(), size: Extent2D(96), threads: 3)
    let photo = SampleNetworks.noise([1, 3, 96, 96])
    let first = try plan.run(photo)
    for _ in 0..<200 { #expect(try plan.run(photo) == first) }
  }
}
