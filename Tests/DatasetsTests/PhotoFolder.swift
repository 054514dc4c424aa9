// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import ThawDatasets
import ThawFiles
import ThawTestSupport

/// A dataset made for one test; removed with the value.
final class PhotoFolder: Sendable {
  private let directory: TemporaryDirectory
  /// The dataset's root.
  let root: FilePath
  /// A place beside it, for results.
  let run: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    root = directory.path.appending("data")
    run = directory.path.appending("run")
    try FileSystem.createDirectory(root)
    try FileSystem.createDirectory(run)
  }

  /// Writes a file that ``FakeVerifier`` takes for a photo; equal payloads give equal contents.
  func addPhoto(_ path: String, payload: String? = nil) throws {
    try add(BytePath(path), Array("FAKE 4 3 \(payload ?? path)".utf8))
  }

  func addPhotos(_ className: String, _ numbers: Range<Int>, split: String? = nil) throws {
    let folder = (split.map { $0 + "/" } ?? "") + className
    for number in numbers { try addPhoto("\(folder)/\(number).pnm") }
  }

  func add(_ path: BytePath, _ bytes: [UInt8]) throws {
    let full = path.resolved(in: root)
    try FileSystem.createDirectory(full.removingLastComponent())
    try writeFile(full, bytes)
  }

  func addFolder(_ path: String) throws {
    try FileSystem.createDirectory(root.pushing(FilePath(path)))
  }

  func addLink(_ path: String, to target: String) throws {
    let full = root.pushing(FilePath(path))
    try FileSystem.createDirectory(full.removingLastComponent())
    let status = full.withPlatformString { link in target.withCString { symlink($0, link) } }
    if status != 0 { throw FileError(full, "link", .system(errno)) }
  }

  func remove(_ path: String) throws { try FileSystem.remove(root.pushing(FilePath(path))) }

  func scan(_ change: (inout FolderScanner.Options) -> Void = { _ in }) throws -> FolderScan {
    var options = FolderScanner.Options()
    change(&options)
    return try FolderScanner.scan(root, options: options)
  }

  func verification(
    _ verifier: FakeVerifier = FakeVerifier(), journal: Bool = false, threads: Int = 2
  ) throws -> DatasetVerification {
    try DatasetVerification.run(
      scan(), with: verifier,
      options: .init(threads: threads, journal: journal ? run.appending("journal") : nil))
  }

  func manifest(
    existing: Manifest? = nil, _ change: (inout ManifestBuilder) -> Void = { _ in }
  ) throws -> Manifest {
    var builder = ManifestBuilder()
    change(&builder)
    return try builder.build(verification(), existing: existing)
  }
}

/// Writes a file without the syncing of `AtomicFile`, which hundreds of test files can do without.
func writeFile(_ path: FilePath, _ bytes: [UInt8]) throws {
  let file = try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, "create")
  defer { file.closeIgnoringErrors() }
  try bytes.withUnsafeBytes { try file.write($0) }
}

/// Accepts `FAKE WIDTH HEIGHT PAYLOAD`; counts its calls.
final class FakeVerifier: ImageVerifier {
  struct Refusal: Error, CustomStringConvertible { let description = "not a fake\timage" }

  let identity: String
  private let calls = Atomic(0)
  var callCount: Int { calls.load(ordering: .relaxed) }

  init(identity: String = "fake 1") { self.identity = identity }

  func verify(_ bytes: UnsafeRawBufferPointer) throws -> VerifiedImage {
    calls.add(1, ordering: .relaxed)
    let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    guard fields.count > 2, fields[0] == "FAKE", let width = Int(fields[1]),
      let height = Int(fields[2])
    else { throw Refusal() }
    let isOdd = fields.last == "odd"
    return VerifiedImage(
      width: width, height: height, format: "FAKE", warnings: isOdd ? ["odd\nbytes"] : [])
  }
}
