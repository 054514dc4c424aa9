// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import SystemPackage
import ThawFiles

/// A photo that was read and decoded without an error.
package struct VerifiedFile: Sendable, Hashable {
  /// Where it is and what its folders say.
  package let file: ScannedFile
  /// Hash of its contents, 64 lower-case hexadecimal digits.
  package let sha256: String
  /// What it turned out to be.
  package let image: VerifiedImage
}

/// Every file of a scan read and decoded: the usable photos and the bad files.
package struct DatasetVerification: Sendable {
  /// What was verified.
  package let scan: FolderScan
  /// Usable photos, in byte order of the paths.
  package let photos: [VerifiedFile]
  /// Bad files, those of the scan included, in byte order of the paths.
  package let bad: [BadFile]
  /// How many results were taken from the journal instead of decoding again.
  package let reused: Int

  /// How far a verification is.
  package struct Progress: Sendable, Hashable {
    /// Files done.
    package let done: Int
    /// Files in all.
    package let total: Int
    /// Bytes of the files done.
    package let bytes: Int
  }

  /// How to verify.
  package struct Options: Sendable {
    /// Threads that read and decode.
    package var threads: Int
    /// Where results are kept between runs; nil keeps none.
    package var journal: FilePath?
    /// Whether a file whose size, time and inode are as before is not read again.
    package var trustsTimes = true
    /// Larger files are bad, in bytes.
    package var fileSizeLimit = 256 << 20

    /// Reads on `threads` threads and keeps results in `journal`.
    package init(threads: Int, journal: FilePath? = nil) {
      self.threads = threads
      self.journal = journal
    }
  }

  /// Reads and decodes every file of `scan`.
  ///
  /// The result does not depend on the number of threads. With a journal, a call that is
  /// interrupted at any moment is continued by the next one, and files whose path, size, time of
  /// change and inode are as before are not read again.
  ///
  /// - Parameters:
  ///   - verifier: decodes one file's bytes.
  ///   - progress: called after every file, one call at a time, from any thread. When it throws,
  ///     the verification stops, keeps what it has, and throws that error.
  /// - Throws: ``DatasetError/system(_:)`` when the machine runs out of descriptors or memory (such
  ///   a file is not bad), `FileError` for the journal, and what `progress` throws.
  package static func run(
    _ scan: FolderScan, with verifier: some ImageVerifier, options: Options,
    progress: @escaping @Sendable (Progress) throws -> Void = { _ in }
  ) throws -> DatasetVerification {
    let ledger = try VerificationLedger(scan, verifier, options, progress)
    let outcome = Result {
      try forEachIndex(below: scan.files.count, threads: options.threads) { index in
        try ledger.settle(index, verifier)
      }
    }
    try ledger.flush()
    try outcome.get()
    return ledger.summary(scan)
  }
}

/// Collects results as they come in, in any order.
private final class VerificationLedger: Sendable {
  private struct State {
    let journal: VerificationJournal?
    var results: [VerificationResult?]
    var pending = ""
    var pendingCount = 0
    var done = 0
    var bytes = 0
    var reused = 0

    /// Written in batches: a killed run loses the last few results, no more.
    mutating func remember(_ line: String) throws {
      pending += line
      pendingCount += 1
      if pendingCount >= 32 { try flush() }
    }

    mutating func flush() throws {
      guard let journal, pendingCount > 0 else { return }
      let lines = pending
      pending = ""
      pendingCount = 0
      try journal.append(lines)
    }
  }

  private let files: [ScannedFile]
  private let root: FilePath
  private let limit: Int
  private let trustsTimes: Bool
  private let keepsJournal: Bool
  private let progress: @Sendable (DatasetVerification.Progress) throws -> Void
  private let state: Mutex<State>

  init(
    _ scan: FolderScan, _ verifier: some ImageVerifier, _ options: DatasetVerification.Options,
    _ progress: @escaping @Sendable (DatasetVerification.Progress) throws -> Void
  ) throws {
    files = scan.files
    root = scan.root
    limit = options.fileSizeLimit
    trustsTimes = options.trustsTimes
    self.progress = progress
    let path = options.journal
    keepsJournal = path != nil
    let identity = verifier.identity
    let journal = try path.map { try VerificationJournal($0, verifier: identity) }
    state = Mutex(
      State(journal: journal, results: Array(repeating: nil, count: scan.files.count)))
  }

  func settle(_ index: Int, _ verifier: some ImageVerifier) throws {
    let file = files[index]
    if trustsTimes, let known = state.withLock({ $0.journal?.result(file) }) {
      return try record(known, at: index, from: .journal)
    }
    switch read(file) {
    case .success(let bytes):
      try record(judge(bytes, verifier), at: index, from: .content)
    case .failure(let error) where error.isExhaustion: throw DatasetError.system(error)
    case .failure(let error):
      try record(.bad(reason: error.photoReason), at: index, from: .system)
    }
  }

  func flush() throws { try state.withLock { try $0.flush() } }

  func summary(_ scan: FolderScan) -> DatasetVerification {
    state.withLock { state in
      var photos: [VerifiedFile] = []
      var bad = scan.bad
      for (file, result) in zip(scan.files, state.results) {
        switch result {
        case .good(let sha256, let image):
          photos.append(VerifiedFile(file: file, sha256: sha256, image: image))
        case .bad(let reason): bad.append(BadFile(path: file.path, reason: reason))
        case nil: break
        }
      }
      bad.sort { $0.path < $1.path }
      return DatasetVerification(scan: scan, photos: photos, bad: bad, reused: state.reused)
    }
  }

  private func read(_ file: ScannedFile) -> Result<[UInt8], FileError> {
    Result { () throws(FileError) in
      try PhotoFiles.read(file.path.resolved(in: root), limit: limit)
    }
  }

  private func judge(_ bytes: [UInt8], _ verifier: some ImageVerifier) -> VerificationResult {
    guard !bytes.isEmpty else { return .bad(reason: "empty file") }
    do {
      let image = try bytes.withUnsafeBytes { try verifier.verify($0) }
      return .good(sha256: SHA256.hexadecimal(of: bytes), image)
    } catch {
      return .bad(reason: "\(error)")
    }
  }

  /// Only what follows from the contents goes to the journal; a permission may be granted later.
  private func record(
    _ result: VerificationResult, at index: Int, from source: VerificationSource
  ) throws {
    // The other threads need not wait for the line to be made.
    let line =
      keepsJournal && source == .content ? VerificationJournal.line(files[index], result) : nil
    try state.withLock { state in
      state.results[index] = result
      state.done += 1
      state.bytes += files[index].status.size
      if source == .journal { state.reused += 1 }
      if let line { try state.remember(line) }
      try progress(.init(done: state.done, total: files.count, bytes: state.bytes))
    }
  }
}

/// What a result rests on.
private enum VerificationSource { case journal, content, system }
