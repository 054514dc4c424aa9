// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage
import ThawDatasets
import ThawImages
import ThawTensors

/// Reads and prepares photos of a manifest, from any thread.
final class PhotoPreparation: Sendable {
  private let records: [Manifest.Record]
  private let root: FilePath
  private let preprocessing: Preprocessing
  /// Nil decodes every photo every time.
  private let kept: KeptPhotos?
  /// Photos whose contents were compared with the manifest's hash; once is enough.
  private let verified = Mutex<Set<Int>>([])

  init(
    _ records: [Manifest.Record], root: FilePath, preprocessing: Preprocessing, kept: KeptPhotos?
  ) {
    self.records = records
    self.root = root
    self.preprocessing = preprocessing
    self.kept = kept
  }

  /// Pixels along one side.
  var side: Int { preprocessing.inputSize }
  /// Numbers of one photo.
  var elementCount: Int { preprocessing.elementCount }

  /// Says what was found wrong with kept pixels.
  func sayNotes() {
    guard let kept else { return }
    for note in kept.store.takeNotes() { kept.say(note) }
  }

  /// - Throws: `DatasetError` that names the photo.
  func prepare(
    _ index: Int, _ view: TestTimeView, into target: UnsafeMutableBufferPointer<Float>
  ) throws {
    let record = records[index]
    guard let kept else {
      return try read(index) { bytes in
        _ = try preprocessing.prepare(
          bytes, testTimeViews: [view], sample: record.drawNumber, into: target)
      }
    }
    let photo = try kept.store.image(of: record.sha256) {
      try read(index) { bytes in kept.rule.kept(try preprocessing.decode(bytes)) }
    }
    preprocessing.prepare(photo, testTimeViews: [view], sample: record.drawNumber, into: target)
  }

  private func read<Result>(
    _ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let isKnown = verified.withLock { $0.contains(index) }
    let item = PrefetchingLoader.Item(records[index], root: root, verifyingContents: !isKnown)
    let reader = PhotoReader()
    let bytes = try reader.read(item)
    let result: Result
    do { result = try withExtendedLifetime(reader) { try body(bytes) } } catch {
      throw DatasetError.unusable(item.path, reason: "\(error)")
    }
    if !isKnown { _ = verified.withLock { $0.insert(index) } }
    return result
  }
}
