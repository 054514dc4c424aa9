// SPDX-License-Identifier: Apache-2.0

import ThawAnswers
import ThawDatasets
import ThawExecution
import ThawImages
import ThawInference

/// What the network saw in the photos that it took for something else.
extension RunReport {
  /// For each mistake's path a small JPEG of the photo as the network sees it, bright where something speaks for
  /// the class that it was taken for.
  ///
  /// Empty where photos may have several labels, and for a network that leaves no image in front of its head;
  /// photos that cannot be read any more are left out.
  func evidence(for mistakes: [JudgedPhoto]) throws -> [String: [UInt8]] {
    let context = open.context
    guard !mistakes.isEmpty, !manifest.severalLabels,
      let model = try? StoredModel(modelFile: run.model),
      let evidence = try? ClassEvidence(model, source: run.model.displayed, context: context)
    else { return [:] }
    let indices = manifest.classIndices
    var pictures: [String: [UInt8]] = [:]
    for mistake in mistakes {
      try context.checkInterruption()
      let path = mistake.record.path.resolved(in: manifest.root.filePath)
      guard let predicted = indices[mistake.shown.predicted],
        let photo = try? SeenPhoto(path, model.preprocessing)
      else { continue }
      let map = try evidence.map(UnsafeBufferPointer(photo.pixels.elements)) { _ in predicted }
      let heat = HeatMap(map.values, height: evidence.height, width: evidence.width)
      pictures[mistake.shown.path] = try? Thumbnail.jpeg(
        of: heat.overlay(on: photo.square), longerSide: 160)
    }
    return pictures
  }
}
