// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawTensors

/// The memory in which one caller runs a segment. It is taken when it is first needed: for lanes as batches
/// have images, and for a pass that threads share.
final class OneDNNSegmentMemory {
  private let segment: OneDNNSegment
  /// Threads that compute at most.
  private let threads: Int
  private var lanes: OneDNNLanes?
  private var sharedLane: OneDNNSharedLane?
  private var hasNothingToShare = false
  private var wasAsked = false
  // One padded pass, for what does not fill one; made beforehand so that `run` takes no memory.
  private let paddedInput: AlignedStorage<Float>
  private let paddedOutput: AlignedStorage<Float>

  /// Memory for `threads` passes at once, or one that they share.
  init(_ segment: OneDNNSegment, threads: Int) {
    self.segment = segment
    self.threads = threads
    let batch = segment.batch
    paddedInput = AlignedStorage(count: batch > 1 ? batch * segment.inputStride : 0)
    paddedOutput = AlignedStorage(count: batch > 1 ? batch * segment.outputStride : 0)
  }

  /// Takes the memory of the first lane now.
  func prepare() throws { try allLanes().prepare(1) }

  /// Computes `images` results on at most so many threads; a last pass that is not full is padded with
  /// zeros.
  func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, images: Int,
    threads: Int
  ) throws {
    let (inputStride, outputStride) = (segment.inputStride, segment.outputStride)
    let passes = images / segment.batch
    if passes > 0 { try run(input, into: output, passes: passes, threads) }
    let done = passes * segment.batch
    let rest = images - done
    guard rest > 0, let from = paddedInput.elements.baseAddress,
      let to = paddedOutput.elements.baseAddress
    else { return }
    from.update(from: input + done * inputStride, count: rest * inputStride)
    (from + rest * inputStride).update(
      repeating: 0, count: (segment.batch - rest) * inputStride)
    try run(from, into: to, passes: 1, threads)
    (output + done * outputStride).update(from: to, count: rest * outputStride)
  }

  /// Passes by lanes, as long as there is one for every thread, and the rest shared where that is faster.
  private func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, passes: Int,
    _ wanted: Int
  ) throws {
    let threads = ComputeThreads.granted(of: wanted)
    let rest = passes % threads
    // Threads that share a pass are not as much faster as there are more of them: some instructions are
    // not cut, and everyone waits for the slowest. A lane each is better from two thirds of them on.
    guard rest > 0, 3 * rest <= 2 * threads, let shared = try shared() else {
      return try allLanes().run(input, into: output, passes: passes, threads: threads)
    }
    if passes > rest {
      try allLanes().run(input, into: output, passes: passes - rest, threads: threads)
    }
    for pass in passes - rest..<passes {
      try shared.run(
        input + pass * segment.batch * segment.inputStride,
        into: output + pass * segment.batch * segment.outputStride, threads: threads)
    }
  }

  private func allLanes() throws -> OneDNNLanes {
    if let lanes { return lanes }
    let made = OneDNNLanes(try segment.chain(), count: threads)
    lanes = made
    return made
  }

  private func shared() throws -> OneDNNSharedLane? {
    if let sharedLane { return sharedLane }
    if hasNothingToShare { return nil }
    // A first photo does not wait for kernels to be tried: it may be the only one.
    defer { wasAsked = true }
    if !wasAsked && segment.needsTrials { return nil }
    guard let chain = try segment.sharedChain(threads) else {
      hasNothingToShare = true
      return nil
    }
    sharedLane = try OneDNNSharedLane(chain)
    return sharedLane
  }

  /// Calls `body` while adding up the wall time of each instruction, in seconds over all lanes.
  func profile(_ body: () throws -> Void) throws -> [Double] {
    let count = segment.instructions.count
    var seconds = [Double](repeating: 0, count: count)
    func add(_ more: [Double]) { for index in 0..<count { seconds[index] += more[index] } }
    guard let shared = try shared() else {
      add(try allLanes().profile(instructions: count, body))
      return seconds
    }
    var ofLanes: [Double] = []
    add(
      try shared.profile(instructions: count) {
        ofLanes = try allLanes().profile(instructions: count, body)
      })
    add(ofLanes)
    return seconds
  }

  /// Into how many parts each instruction is cut; nil where none is.
  func partCounts() throws -> [Int]? { try segment.sharedChain(threads)?.partCounts }

  /// Memory of one lane, in bytes.
  func arenaBytes() throws -> Int { try segment.chain().arenaBytes }
}
