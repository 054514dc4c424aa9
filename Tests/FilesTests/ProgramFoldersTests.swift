// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles

@Suite struct ProgramFoldersTests {
  private func folders(
    _ program: FilePath? = nil, _ environment: [String: String] = [:]
  ) -> ProgramFolders {
    ProgramFolders(program: program, environment: environment)
  }

  @Test(
    arguments: [
      (["XDG_CACHE_HOME": "/c", "HOME": "/h"], "/c/thaw"),
      (["HOME": "/h"], "/h/.cache/thaw"),
      // The specification: what is not absolute is to be ignored.
      (["XDG_CACHE_HOME": "c", "HOME": "/h"], "/h/.cache/thaw"),
      (["XDG_CACHE_HOME": "", "HOME": "/h"], "/h/.cache/thaw"),
      (["HOME": ""], nil),
      ([:], nil),
    ] as [([String: String], FilePath?)])
  func theUsersFolderIsWhereTheDesktopsSpecificationHasIt(
    _ environment: [String: String], _ expected: FilePath?
  ) {
    #expect(folders(nil, environment).cache == expected)
  }

  @Test func whatWasInstalledWithAProgramIsFoundFromIt() {
    #expect(folders("/usr/local/bin/thaw").shared == "/usr/local/share/thaw")
    #expect(folders("/thaw").shared == nil)
    #expect(folders(nil).shared == nil)
    #expect(folders("/usr/bin/thaw").aboveProgram == ["/usr/bin", "/usr", "/"])
  }
}
