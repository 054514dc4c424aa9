// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawDatasets
import ThawRuns

/// The run directory of a command that may begin a run.
struct NewRunOptions: ParsableArguments {
  @Option(
    name: .customLong("run"),
    help: "Run directory; created if needed. (default: runs/, and the name of the folder of photos)"
  )
  var directory: RunDirectory?

  /// The directory that was given, or the one named for the folder of photos.
  func directory(for photos: FilePath) throws -> RunDirectory {
    if let directory { return directory }
    // The name of `.` or `..` is that of the folder it stands for.
    let last = photos.lastComponent
    let folder = last?.kind == .regular ? photos : (photos.canonical ?? photos)
    let isArchive = PhotoFiles.isArchive(photos)
    guard let name = isArchive ? folder.archiveName : folder.lastComponent?.string else {
      throw ValidationError("\(photos.string) has no name that a run could take. Give --run RUN.")
    }
    return RunDirectory(FilePath("runs").appending(name))
  }
}

extension FilePath {
  /// The name of the folder that an archive was made of: `photos` of `photos.tar.gz`.
  fileprivate var archiveName: String? {
    guard let name = lastComponent?.string else { return nil }
    let endings = [".tar.gz", ".tgz", ".tar", ".zip", ".gz"]
    let ending = endings.first { name.lowercased().hasSuffix($0) && name.count > $0.count }
    return String(name.dropLast(ending?.count ?? 0))
  }
}
