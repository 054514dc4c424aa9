// SPDX-License-Identifier: Apache-2.0

import Thaw

/// Trains on a folder of photos and prints how it goes.
///
///     TrainExample PHOTOS RUN [BACKBONE]
///
/// `PHOTOS` has one sub-folder a class. Started again after it was ended, it goes on where it was.
@main
struct TrainExample {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard (3...4).contains(arguments.count) else {
      print("usage: \(arguments[0]) PHOTOS RUN [BACKBONE]")
      return
    }
    var options = ImageTraining.Options()
    options.backbone = arguments.dropFirst(3).first
    options.headEpochs = 10
    options.fineTuningEpochs = 3
    let training = try ImageTraining.start(
      photos: .init(arguments[1]), run: .init(arguments[2]), options: options)
    for await event in training.events { show(event) }
    let outcome = try await training.outcome
    let (low, high) = (outcome.accuracyInterval.lowerBound, outcome.accuracyInterval.upperBound)
    print("accuracy \(outcome.accuracy) (\(low) to \(high)) on \(outcome.photos) photos")
    print("model \(outcome.model)")
    print("report \(outcome.report)")
  }

  private static func show(_ event: ImageTraining.Event) {
    switch event {
    case .began(let stage): print(stage.rawValue)
    case .prepared(let photos, let classNames):
      print("  \(photos) photos of \(classNames.joined(separator: ", "))")
    case .epoch(let epoch):
      let accuracy = epoch.validAccuracy.map { ", accuracy \($0)" } ?? ""
      print("  epoch \(epoch.number): loss \(epoch.trainLoss)\(accuracy)")
    case .progress(let progress):
      print("  \(progress.label): \(progress.completed) of \(progress.total ?? 0) \(progress.unit)")
    // The logger tells these already.
    case .note, .warning: break
    }
  }
}
