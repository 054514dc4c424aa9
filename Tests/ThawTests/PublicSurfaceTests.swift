// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What is public is small, in one room, and documented.
struct PublicSurfaceTests {
  private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources")

  private static func files(in folder: String) throws -> [(name: String, lines: [String])] {
    let root = sources.appendingPathComponent(folder)
    let paths = try #require(FileManager.default.enumerator(atPath: root.path))
    return try paths.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted().map {
      let text = try String(contentsOf: root.appendingPathComponent($0), encoding: .utf8)
      return ("\(folder)/\($0)", text.components(separatedBy: "\n"))
    }
  }

  /// The numbers of the lines that declare something public, imports apart.
  static func publicLines(_ lines: [String]) -> [Int] {
    lines.indices.filter { index in
      let words = lines[index].drop { $0 == " " }.split(separator: " ")
      return words.prefix(3).contains("public") && !words.contains("import")
        && !words[0].hasPrefix("//")
    }
  }

  /// Whether documentation stands above the line, attributes in between allowed.
  static func isDocumented(_ lines: [String], _ index: Int) -> Bool {
    var above = index - 1
    while above >= 0, lines[above].drop(while: { $0 == " " }).hasPrefix("@") { above -= 1 }
    guard above >= 0 else { return false }
    return lines[above].drop { $0 == " " }.hasPrefix("///")
  }

  /// Cases of a public enumeration are public without saying so.
  static func undocumentedCases(_ lines: [String]) -> [Int] {
    var isPublic = false
    var result: [Int] = []
    for index in lines.indices {
      let words = lines[index].split(separator: " ")
      if words.contains("enum") { isPublic = words.contains("public") }
      if isPublic, words.first == "case", !lines[index].contains(":"),
        !lines[index].contains(" = "),
        !isDocumented(lines, index), !lines[index].contains(" let ")
      {
        result.append(index)
      }
    }
    return result
  }

  @Test func everyPublicDeclarationIsDocumented() throws {
    var count = 0
    for file in try Self.files(in: "Thaw") {
      let declared = Self.publicLines(file.lines)
      count += declared.count
      for index in declared + Self.undocumentedCases(file.lines)
      where !Self.isDocumented(file.lines, index) {
        Issue.record("\(file.name):\(index + 1): \(file.lines[index]) is not documented")
      }
    }
    #expect((40...200).contains(count), "\(count) public declarations: is the surface small?")
  }

  @Test func nothingElseIsPublic() throws {
    let rooms = try FileManager.default.contentsOfDirectory(atPath: Self.sources.path)
    #expect(rooms.count > 15)
    for room in rooms where room != "Thaw" && room != "Command" {
      for file in try Self.files(in: room) {
        for index in Self.publicLines(file.lines) {
          Issue.record("\(file.name):\(index + 1): \(file.lines[index])")
        }
      }
    }
  }

  @Test func theCheckFindsWhatIsMissing() {
    let lines = [
      "public struct A {", "  /// Yes.", "  public var b = 1", "  public init() {}", "}",
    ]
    let missing = Self.publicLines(lines).filter { !Self.isDocumented(lines, $0) }
    #expect(missing == [0, 3])
    #expect(Self.undocumentedCases(["public enum E {", "  case a", "  /// B.", "  case b"]) == [1])
  }
}
