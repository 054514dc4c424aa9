// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage
import ThawConsole
package import ThawDatasets
import ThawFiles
package import ThawImages
import ThawInference
import ThawRanks

/// Where the decoded photos of a source are kept, and by which rule.
package struct KeptPhotos: Sendable {
  /// What is kept of a photo.
  package let rule: PhotoKeeping
  /// Where.
  package let store: PixelStore
  /// Told what is found wrong with it.
  package let say: @Sendable (String) -> Void

  /// Photos kept by `rule` in `store`.
  package init(
    _ rule: PhotoKeeping, in store: PixelStore, say: @escaping @Sendable (String) -> Void
  ) {
    self.rule = rule
    self.store = store
    self.say = say
  }
}

/// The decoded photos of one training, all its phases together: a quarter of the memory there is, then as
/// much of the disk as ``PixelRoom`` allows.
///
/// Phases of the same input size share what they keep. What another size needed is given up before.
final class TrainingPixels: Sendable {
  private let room: PixelRoom
  private let budget: PixelBudget
  private let directory: FilePath
  private let rank: Int
  private let console: Console
  private let stores = Mutex<[String: KeptPhotos]>([:])

  init(_ run: OpenRun) {
    directory = run.directory.pixels
    (rank, console) = (run.context.ranks.rank, run.context.console)
    room = PixelRoom(
      memory: run.context.memory / run.context.ranks.count, near: run.directory.path)
    budget = PixelBudget(memory: room.memory, disk: room.disk)
  }

  /// Where the photos of a split are kept.
  func kept(_ rule: PhotoKeeping, of split: Split) -> KeptPhotos {
    let name = split.rawValue + (rank > 0 ? ".\(rank)" : "")
    return stores.withLock { stores in
      if let known = stores[name] {
        if known.rule == rule { return known }
        // Its memory is free for the next when nobody uses it any more; its file goes now.
        try? FileSystem.remove(directory.appending(name))
        stores[name] = nil
      }
      let console = console
      let kept = KeptPhotos(
        rule,
        in: PixelStore(key: rule.key, budget: budget, file: directory.appending(name)),
        say: { console.warn($0) })
      stores[name] = kept
      return kept
    }
  }

  /// Says what is kept of the photos of a training, and where.
  func say(_ rule: PhotoKeeping, _ records: [Manifest.Record]) {
    let sizes = records.map { PixelSize(width: $0.width, height: $0.height) }
    let bytes = sizes.reduce(0) { $0 + rule.byteCount(of: $1) }
    let shrunk = sizes.count { rule.shrunkSize(of: $0) != nil }
    var text = "Decoded photos are kept: at most \(Format.bytes(bytes)), "
    text +=
      bytes <= room.memory
      ? "in memory"
      : "\(Format.bytes(room.memory)) of it in memory and up to \(Format.bytes(room.disk)) in"
        + " \(directory.displayed)"
    if bytes > room.memory + room.disk {
      text += "; the others are decoded in every epoch (--memory SIZE gives more room)"
    }
    if shrunk > 0 {
      text += "; \(shrunk) of \(records.count) photos shrunk to what draws can look at"
    }
    console.say(text + ".")
  }

  /// Removes the files of a training that is finished.
  func remove() {
    stores.withLock { $0 = [:] }
    try? PixelRoom.removeFiles(in: directory)
  }
}

/// How much room there is for decoded photos.
struct PixelRoom {
  /// Bytes of memory.
  let memory: Int
  /// Bytes of disk.
  let disk: Int

  /// The most that files of decoded photos take.
  static let mostDisk = 32 << 30

  /// A quarter of the memory, and a quarter of the free disk below 32 GiB.
  ///
  /// - Parameters:
  ///   - memory: bytes that the process may take.
  ///   - place: where the files would be.
  init(memory: Int, near place: FilePath) {
    self.memory = memory / 4
    disk = min((FileSystem.freeSpace(at: place) ?? 0) / 4, Self.mostDisk)
  }

  /// Removes the files in a directory, as far as they are of decoded photos.
  static func removeFiles(in directory: FilePath) throws {
    guard FileSystem.exists(directory) else { return }
    for name in try FileSystem.list(directory)
    where Split.allCases.contains(where: { name.string.hasPrefix($0.rawValue) }) {
      try FileSystem.remove(directory.appending(name))
    }
  }
}
