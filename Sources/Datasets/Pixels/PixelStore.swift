// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import SystemPackage
import ThawFiles
package import ThawImages

/// Decoded pixels of photos, kept from one epoch to the next: in memory first, then in a file, both within
/// a budget. What has no room is made anew each time it is asked for.
///
/// The file belongs to what the pixels depend on besides the photo (`key`) and outlives the process: a
/// training that was killed finds there what it had written. Every photo in it has a checksum, compared
/// when it is first read; what is damaged, cut or of another key is made anew, and ``takeNotes()`` says so.
/// A disk that is full ends the writing, not the training. May be used from several threads.
package final class PixelStore: Sendable {
  private struct State {
    var images: [String: DecodedImage] = [:]
    var file: PixelFile?
    /// Bytes of the budget that this store has.
    var memory = 0
    var disk = 0
    var notes: [String] = []
    var counts = Counts()
    /// Where the file would be; nil when it cannot be opened.
    var place: FilePath?

    /// Opens the file or makes it.
    mutating func open(key: String, _ budget: PixelBudget) {
      guard let path = place else { return }
      place = nil
      do {
        let opened = try PixelFile(path, key: key)
        if let note = opened.note { notes.append(note) }
        // What an earlier process wrote counts, and stays where it is if it was granted more.
        disk = budget.takeDisk(opened.byteCount) ? opened.byteCount : 0
        file = opened
      } catch {
        notes.append("\(error) Photos are kept in memory alone.")
      }
    }
  }

  /// What became of the photos that were asked for.
  package struct Counts: Sendable, Equatable {
    /// Made by the caller.
    package var made = 0
    /// Found in memory.
    package var fromMemory = 0
    /// Found in the file.
    package var fromFile = 0
    /// Found damaged in the file.
    package var damaged = 0

    /// Nothing was asked for, unless said otherwise.
    package init(made: Int = 0, fromMemory: Int = 0, fromFile: Int = 0, damaged: Int = 0) {
      (self.made, self.fromMemory, self.fromFile, self.damaged) = (
        made, fromMemory, fromFile, damaged
      )
    }
  }

  private let budget: PixelBudget
  private let key: String
  private let state: Mutex<State>

  /// - Parameters:
  ///   - key: a text that says everything the pixels depend on besides the photo's contents.
  ///   - file: where pixels go that memory has no room for; nil keeps them in memory alone. One process at a
  ///     time: the caller has a lock.
  package init(key: String, budget: PixelBudget, file: FilePath? = nil) {
    self.budget = budget
    self.key = key
    var first = State()
    first.place = budget.disk > 0 ? file : nil
    if let place = first.place, FileSystem.exists(place) { first.open(key: key, budget) }
    state = Mutex(first)
  }

  deinit {
    state.withLock { budget.giveBack(memory: $0.memory, disk: $0.disk) }
  }

  /// What was asked for so far.
  package var counts: Counts { state.withLock(\.counts) }

  /// Bytes of memory that pixels take now.
  package var bytesInMemory: Int { state.withLock(\.memory) }

  /// What is to be said to people, each once.
  package func takeNotes() -> [String] {
    state.withLock { state in
      defer { state.notes = [] }
      return state.notes
    }
  }

  /// The pixels of a photo: kept ones, or else what `make` returns, which are kept if there is room.
  ///
  /// - Parameter content: hash of the photo's contents, 64 hexadecimal digits.
  /// - Throws: what `make` throws.
  package func image(
    of content: String, make: () throws -> DecodedImage
  ) throws -> DecodedImage {
    let (found, file) = state.withLock { state in
      let found = state.images[content]
      if found != nil { state.counts.fromMemory += 1 }
      return (found, state.file)
    }
    if let found { return found }
    if let file, let image = read(content, from: file) { return image }
    let image = try make()
    state.withLock { $0.counts.made += 1 }
    keep(image, of: content)
    return image
  }

  private func read(_ content: String, from file: PixelFile) -> DecodedImage? {
    switch file.read(content) {
    case .absent: return nil
    case .found(let image):
      state.withLock { $0.counts.fromFile += 1 }
      return image
    case .damaged:
      state.withLock { state in
        state.counts.damaged += 1
        if state.counts.damaged == 1 {
          state.notes.append(
            "\(file.path.displayed): kept pixels are damaged; those photos are decoded anew.")
        }
      }
      return nil
    }
  }

  private func keep(_ image: DecodedImage, of content: String) {
    let bytes = image.image.pixels.count
    let file: PixelFile? = state.withLock { state in
      guard state.images[content] == nil else { return nil }
      guard !budget.takeMemory(bytes) else {
        state.memory += bytes
        state.images[content] = image
        return nil
      }
      if state.file == nil { state.open(key: key, budget) }
      let size = PixelFile.byteCount(of: image)
      guard let file = state.file, budget.takeDisk(size) else { return nil }
      state.disk += size
      return file
    }
    guard let file else { return }
    do { try file.append(image, of: content) } catch {
      state.withLock { state in
        // Photos that others are writing at this moment may fail as well: one note is enough.
        guard state.file?.isFull == false else { return }
        file.isFull = true
        state.notes.append("\(error) No more pixels are kept there.")
      }
    }
  }
}
