// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage

/// The folders that a program knows of: the one it lies in, what was installed with it, and the
/// user's own for what can be had again.
package struct ProgramFolders: Sendable {
  /// The program's file, links followed; nil where the system does not say.
  package var program: FilePath?
  /// The environment: `HOME` and `XDG_CACHE_HOME` are looked at.
  package var environment: [String: String]

  /// Names a program and an environment.
  package init(program: FilePath?, environment: [String: String]) {
    self.program = program
    self.environment = environment
  }

  /// Those of this process.
  package static var current: ProgramFolders {
    let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return ProgramFolders(
      program: link.map { FilePath($0) }, environment: ProcessInfo.processInfo.environment)
  }

  /// The folders above the program, from the nearest on.
  package var aboveProgram: [FilePath] {
    guard var place = program else { return [] }
    var folders: [FilePath] = []
    while place.removeLastComponent() { folders.append(place) }
    return folders
  }

  /// `PREFIX/share/thaw` of a program that was installed as `PREFIX/bin/thaw`, whether there or not.
  package var shared: FilePath? {
    aboveProgram.dropFirst().first?.appending("share").appending("thaw")
  }

  /// `XDG_CACHE_HOME/thaw`, or `HOME/.cache/thaw`, whether there or not; nil when neither names an
  /// absolute path.
  ///
  /// - Source: XDG Base Directory Specification 0.8.
  package var cache: FilePath? {
    func absolute(_ name: String) -> FilePath? {
      environment[name].map { FilePath($0) }.flatMap { $0.isAbsolute ? $0 : nil }
    }
    let parent = absolute("XDG_CACHE_HOME") ?? absolute("HOME")?.appending(".cache")
    return parent?.appending("thaw")
  }
}
