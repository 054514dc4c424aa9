// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Thaw
import ThawTinyBackbone

/// Uses the library in a process of its own, for tests of what a process has once: its environment,
/// its standard streams.
///
///     thaw-test-tool prepare DIRECTORY             a backbone in cards/, photos in photos/CLASS/
///     thaw-test-tool train PHOTOS RUN CARDS        prints the accuracy
///     thaw-test-tool classify MODEL PHOTO...       prints each photo's logits, as bits
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
    default:
      print("usage: thaw-test-tool prepare|train|classify ...")
    }
  }
}
