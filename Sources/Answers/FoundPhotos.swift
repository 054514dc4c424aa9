// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages

/// The photos that arguments of a command name: files, and folders and archives that are searched.
package struct FoundPhotos: Sendable {
  /// A photo without an answer.
  package struct Failure: Sendable, Encodable {
    /// As displayed.
    package let path: String
    /// Why.
    package let reason: String

    package init(path: String, reason: String) { (self.path, self.reason) = (path, reason) }
  }

  /// In the order of the arguments, in a folder by name.
  package private(set) var paths: [FilePath] = []
  /// What could not be looked at.
  package private(set) var failures: [Failure] = []
  private var others: [FilePath] = []

  /// Finds photos and says which files are none.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when there is nothing at all.
  package init(_ inputs: [FilePath], console: Console) throws {
    for input in inputs { paths += photos(at: input) }
    if !others.isEmpty {
      let examples = others.prefix(3).map(\.displayed).joined(separator: ", ")
      console.warn(
        "\(others.count == 1 ? "1 file is no image" : "\(others.count) files are no images"): \(examples)"
          + (others.count > 3 ? " and \(others.count - 3) more" : ""))
    }
    guard !paths.isEmpty || !failures.isEmpty else {
      throw PipelineError.data(
        "\(inputs.map(\.displayed).joined(separator: ", ")): no photo was found.")
    }
  }

  /// The file itself, or the photos in a folder or an archive and those below. What cannot be looked at is a
  /// failure, and hides nothing else.
  private mutating func photos(at path: FilePath) -> [FilePath] {
    var found: [FilePath] = []
    do throws(FileError) {
      let kind = try PhotoFiles.status(of: path).kind
      guard kind == .directory || PhotoFiles.isArchive(path) else { return [path] }
      for name in try PhotoFiles.list(path) { found += photos(atEntry: path.appending(name)) }
    } catch {
      failures.append(Failure(path: path.displayed, reason: error.reason.text(error.operation)))
    }
    return found
  }

  /// What an entry of a folder gives; links to folders are not followed.
  private mutating func photos(atEntry path: FilePath) -> [FilePath] {
    if FileNames.isIgnored(BytePath(path).lastComponent) { return [] }
    do throws(FileError) {
      if try PhotoFiles.status(of: path, followingLinks: false).kind == .directory {
        return photos(at: path)
      }
      if FileNames.isPhoto(path) { return [path] }
      others.append(path)
    } catch {
      failures.append(Failure(path: path.displayed, reason: error.reason.text(error.operation)))
    }
    return []
  }
}
