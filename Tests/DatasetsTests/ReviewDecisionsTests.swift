// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

/// `review.tsv`: what it keeps and what is in force.
struct ReviewDecisionsTests {
  private let directory: TemporaryDirectory
  private let file: FilePath
  private let one = String(repeating: "1", count: 64)
  private let two = String(repeating: "2", count: 64)

  init() throws {
    directory = try TemporaryDirectory()
    file = directory.path.appending("review.tsv")
  }

  @Test func theLastDecisionIsInForceAndNamesComeBackExactly() throws {
    let path = BytePath(bytes: Array("a b/\u{9}\u{A}%ü".utf8) + [0xFF])
    let label = "cat\t<b>\n%41"
    let writer = try ReviewDecisions.Writer(file)
    try writer.append(ReviewDecision(.drop, sha256: one, path: path, time: 1))
    try writer.append(ReviewDecision(.relabel, label: label, sha256: one, path: path, time: 2))
    try writer.append(ReviewDecision(.keep, sha256: two, path: BytePath("x.png"), time: 3))
    try writer.append(ReviewDecision(.undo, sha256: two, path: BytePath("x.png"), time: 4))
    let read = try ReviewDecisions(contentsOf: file)
    #expect(read.all == [ReviewDecision(.relabel, label: label, sha256: one, path: path, time: 2)])
    #expect(read.decision(sha256: one, path: path)?.label == label)
    // A photo that was moved is known by its contents.
    #expect(read.decision(sha256: one, path: BytePath("elsewhere.png"))?.label == label)
    #expect(read.decision(sha256: two, path: BytePath("x.png")) == nil)
  }

  @Test func aLineWithoutItsEndIsNoDecisionAndGoes() throws {
    let whole = ReviewDecisions.line(
      ReviewDecision(.keep, sha256: one, path: BytePath("x.png"), time: 3))
    try AtomicFile.write(file, text: whole + whole.dropLast())
    _ = try ReviewDecisions.Writer(file)
    #expect(String(decoding: try FileSystem.read(file), as: UTF8.self) == whole)
  }

  @Test(arguments: [
    "1\tkeep\tshort\t\t/x", "1\trelabel\tHASH\t\t/x", "1\tkeep\tHASH\tcat\t/x",
    "one\tkeep\tHASH\t\t/x", "1\tforget\tHASH\t\t/x", "1\tkeep\tHASH\t\tx", "1\tkeep\tHASH\t",
  ])
  func whatIsNoDecisionIsRefused(_ line: String) throws {
    try AtomicFile.write(file, text: line.replacingOccurrences(of: "HASH", with: one) + "\n")
    #expect(throws: DatasetError.self) { try ReviewDecisions(contentsOf: file) }
  }
}
