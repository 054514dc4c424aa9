// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Thaw
import ThawOneDNN
import ThawTinyBackbone

/// Uses the library in a process of its own, for tests of what a process has once: its environment,
/// its standard streams.
///
///     thaw-test-tool prepare DIRECTORY             a backbone in cards/, photos in photos/CLASS/
///     thaw-test-tool train PHOTOS RUN CARDS        prints the accuracy
///     thaw-test-tool classify MODEL PHOTO...       prints each photo's logits, as bits
///     thaw-test-tool repeat MODEL COUNT PHOTO...   prints by how many bytes the process grows
///     thaw-test-tool wait                          prints the milliseconds of processors that waiting takes
@main
struct TestTool {
  static func main() async throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    switch (arguments.first, arguments.count) {
    case ("prepare", 2):
      let directory = FilePath(arguments[1])
      try TinyBackbone.write(to: directory.appending("cards"))
      try TinyPhotos.write(to: directory.appending("photos"))
    case ("train", 4):
      var options = ImageTraining.Options()
      options.pretrained = FilePath(arguments[3])
      options.backbone = TinyBackbone.name
      (options.headEpochs, options.fineTuningEpochs, options.threads) = (3, 1, 2)
      let outcome = try await ImageTraining.start(
        photos: FilePath(arguments[1]), run: FilePath(arguments[2]), options: options
      ).outcome
      print(outcome.accuracy)
    case ("classify", 3...):
      var configuration = ImageClassifier.Configuration()
      configuration.workers = 2
      let classifier = try ImageClassifier(
        contentsOf: arguments[1], configuration: configuration)
      for try await answer in classifier.classify(
        arguments.dropFirst(2).map { Photo(contentsOf: $0) })
      {
        let bits = try answer.get().logits.map { String($0.bitPattern, radix: 16) }
        print(bits.joined(separator: " "))
      }
      await classifier.close()
    case ("repeat", 4...):
      let classifier = try ImageClassifier(contentsOf: arguments[1])
      let photos = arguments.dropFirst(3).map { Photo(contentsOf: $0) }
      let count = Int(arguments[2]) ?? 0
      // The same number first: a leak would fill what was left free, and show only then.
      try await ask(classifier, photos, count)
      let before = try residentBytes()
      try await ask(classifier, photos, count)
      print(try residentBytes() - before)
    case ("wait", 1):
      ComputeThreads.share(4) { _ in usleep(1000) }
      let before = processSeconds()
      for _ in 0..<100 {
        ComputeThreads.share(4) { _ in }
        usleep(5000)
      }
      print(Int(1000 * (processSeconds() - before)))
    default:
      print("usage: thaw-test-tool prepare|train|classify|repeat|wait ...")
    }
  }

  /// Asks `count` times from eight tasks.
  private static func ask(
    _ classifier: ImageClassifier, _ photos: [Photo], _ count: Int
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          for number in stride(from: task, to: count, by: 8) {
            _ = try await classifier.classify(photos[number % photos.count])
          }
        }
      }
      try await group.waitForAll()
    }
  }

  private static func processSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func residentBytes() throws -> Int {
    let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(
      separator: " ")
    return (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE))
  }
}
