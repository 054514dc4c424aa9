// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// Workers share a plan's kernels and weights, and each computes on a thread of its caller's.
@Suite(.serialized) struct WorkerTests {
  private let size = Extent2D(40)

  private static func classifier() -> Graph {
    var builder = GraphBuilder(name: "classifier", inputChannels: 3)
    builder.convolve("stem", 3, 24, kernel: 3, stride: 2, activation: .relu6)
    builder.invertedResidual("block", 24, 24, kernel: 3, stride: 1, expansion: 4)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("hidden", .dense(Dense(inputs: 24, outputs: 512)))
    builder.add("act", .activation(.relu))
    builder.add("fc", .dense(Dense(inputs: 512, outputs: 10)))
    return builder.build()
  }

  private func results(
    of plan: any InferencePlan, photos: Tensor<Float>, threads: Int, rounds: Int
  ) throws -> [[Tensor<Float>]] {
    let workers = try (0..<threads).map { _ in try plan.makeWorker() }
    // A place for each thread; a `Mutex` would look like a race to ThreadSanitizer, which does not see
    // its futex.
    let results = UnsafeMutableBufferPointer<[Tensor<Float>]>.allocate(capacity: threads)
    results.initialize(repeating: [])
    defer { results.deinitialize().deallocate() }
    nonisolated(unsafe) let (everyone, places) = (workers, results)
    onThreads(threads) { number in
      for _ in 0..<rounds {
        guard let result = try? everyone[number].run(photos) else { return }
        places[number].append(result)
      }
    }
    return Array(results)
  }

  @Test(arguments: [1, 2, 3])
  func eightCallersGetTheBitsOfOne(_ threads: Int) throws {
    let photos = SampleNetworks.noise([5, 3, 40, 40])
    for graph in [Self.classifier(), SampleNetworks.efficientNetLite0()] {
      let plan = try OneDNNEngine.plan(graph, microBatch: 4, size: size, threads: threads)
      let expected = try plan.run(photos)
      let results = try results(of: plan, photos: photos, threads: 8, rounds: 3)
      #expect(results.map(\.count) == [Int](repeating: 3, count: 8))
      #expect(results.joined().allSatisfy { $0 == expected }, "\(graph.name)")
      #expect(try plan.run(photos) == expected)
    }
  }

  @Test func workersOfTheReferenceEngineAgreeToo() throws {
    let graph = Self.classifier()
    let photos = SampleNetworks.noise([5, 3, 40, 40])
    let engine = ReferenceEngine<Float>()
    let plan = try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: SampleNetworks.parameters(of: graph), microBatch: 2, size: size)
    let expected = try plan.run(photos)
    let results = try results(of: plan, photos: photos, threads: 4, rounds: 1)
    #expect(results.map(\.count) == [1, 1, 1, 1])
    #expect(results.joined().allSatisfy { $0 == expected })
  }

  /// A worker outlives the plan it came from.
  @Test func aWorkerKeepsWhatItShares() throws {
    let photos = SampleNetworks.noise([2, 3, 40, 40])
    var plan: (any InferencePlan)? = try OneDNNEngine.plan(
      Self.classifier(), size: size, threads: 2)
    let expected = try plan?.run(photos)
    let worker = try plan?.makeWorker()
    plan = nil
    #expect(try worker?.run(photos) == expected)
  }
}

/// Calls `body` with 0, 1, … on `count` threads of their own at the same time, and waits for all.
private func onThreads(_ count: Int, _ body: @Sendable (Int) -> Void) {
  final class Job {
    let number: Int
    let body: (Int) -> Void
    init(_ number: Int, _ body: @escaping (Int) -> Void) {
      (self.number, self.body) = (number, body)
    }
  }
  withoutActuallyEscaping(body) { body in
    let threads = (0..<count).compactMap { number -> pthread_t? in
      var thread = pthread_t()
      let job = Unmanaged.passRetained(Job(number, body)).toOpaque()
      let status = pthread_create(
        &thread, nil,
        { data in
          guard let data else { return nil }
          let job = Unmanaged<Job>.fromOpaque(data).takeRetainedValue()
          job.body(job.number)
          return nil
        }, job)
      return status == 0 ? thread : nil
    }
    for thread in threads { pthread_join(thread, nil) }
  }
}
