// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawFiles

@Suite struct ShellWordTests {
  @Test func plainWordsStayAsTheyAre() {
    #expect(ShellWord.quote("/data/photos-1/run_2.yml") == "/data/photos-1/run_2.yml")
    #expect(ShellWord.quote("") == "''")
    #expect(ShellWord.quote("it's 5 €") == "'it'\\''s 5 €'")
    #expect(ShellWord.quote("a\nb1") == "$'a\\012b1'")
  }

  @Test(arguments: [
    Array("my photos".utf8), Array("$(touch x)`id`;&|<>*?[~#!\"\\".utf8), Array("'".utf8),
    Array("a\n\tb\u{202E}c1\\'".utf8), [0x66, 0xFF, 0x30], Array("~".utf8),
  ])
  func aShellReadsTheSameBytesBack(bytes: [UInt8]) throws {
    let (shell, pipe) = (Process(), Pipe())
    shell.executableURL = URL(filePath: "/bin/bash")
    shell.arguments = ["-c", "printf %s \(ShellWord.quote(bytes))"]
    shell.standardOutput = pipe
    try shell.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    shell.waitUntilExit()
    #expect(Array(output) == bytes)
    #expect(shell.terminationStatus == 0)
  }
}
