// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// `thaw doctor`
struct DoctorTests {
  private let workspace: Workspace

  init() throws { workspace = try Workspace(classes: []) }

  @Test func itSaysWhatIsHereOnOneScreen() throws {
    let outcome = try workspace.thaw("doctor", "--offline")
    #expect(outcome.status == 0 && outcome.stderr.isEmpty)
    for part in ["oneDNN 2", "OpenBLAS", "libjpeg", "libpng", "zlib 1", "OpenSSL", "not asked"] {
      #expect(outcome.stdout.contains(part), "\(part)")
    }
    #expect(outcome.stdout.hasPrefix("Thaw") && outcome.stdout.contains(" GB, "))
    #expect(!outcome.stdout.contains("unknown") && !outcome.stdout.contains("?"))
    #expect(outcome.stdout.split(separator: "\n").count < 25)
  }

  private func problems(_ outcome: Outcome) throws -> [String] {
    try outcome.json()["problems"].array.compactMap(\.string)
  }

  @Test func moreThreadsThanCoresAreAProblem() throws {
    let found = try problems(workspace.thaw("doctor", "--offline", "--threads", "999", "--json"))
    #expect(found.contains { $0.hasPrefix("999 threads are asked for and there") }, "\(found)")
    #expect(
      !(try problems(workspace.thaw("doctor", "--offline", "--json"))).contains {
        $0.contains("are asked for")
      })
  }

  /// The cards of the checkout, none of whose weights are here.
  private func withoutWeights() throws {
    try TinyBackbone.write(to: workspace.file("cards"))
    let card = try workspace.text("cards/tiny.yml")
    try AtomicFile.write(
      workspace.file("cards/efficientnet_lite0.yml"),
      text: card.replacing("name: tiny\n", with: "name: efficientnet_lite0\n")
        .replacing("file: tiny.safetensors", with: "file: other.safetensors"))
  }

  @Test func weightsThatNothingMayFetchAreAProblem() throws {
    try withoutWeights()
    let found = try problems(workspace.thaw("doctor", "--offline", "--json"))
    #expect(found.contains { $0.contains("Run: thaw pretrained fetch efficientnet_lite0") })
  }

  /// Without curl nobody knows whether a server answers.
  @Test func aMissingProgramIsNamedAndNotTakenForASilentServer() throws {
    try withoutWeights()
    try FileSystem.createDirectory(workspace.file("empty"))
    let outcome = try workspace.thaw("doctor", "--json", shell: "PATH=\"$PWD/empty\" \"$@\"")
    let json = try outcome.json()
    #expect(json["network"].string == "not asked, for there is no curl")
    let found = try problems(outcome)
    #expect(
      found.contains {
        $0.hasPrefix("curl is not installed") && $0.contains("apt-get install curl")
      })
    #expect(!found.contains { $0.contains("cannot be fetched") })
  }

  @Test(arguments: [60, 80, 200])
  func itFitsTheTerminal(columns: Int) throws {
    try withoutWeights()
    let outcome = try workspace.thaw(
      "doctor", "--offline", "--threads", "999",
      shell: "TERM=xterm script -qec \"stty cols \(columns); $*\" /dev/null")
    let lines = outcome.stdout.split(whereSeparator: \.isNewline)
    #expect(lines.count > 10)
    for line in lines where !line.contains("/") {
      #expect(line.count <= min(columns, 80), "\(line)")
    }
  }

  @Test func fewerThreadsThanAskedForAreAProblemWithAName() throws {
    let outcome = try workspace.thaw(
      "doctor", "--offline", "--threads", "2", "--json", shell: "OMP_THREAD_LIMIT=1 \"$@\"")
    let json = try outcome.json()
    #expect(json["threads_asked"].int == 2 && json["threads_granted"].int == 1)
    #expect(json["machine"]["cores"].int ?? 0 > 0)
    #expect(
      json["problems"].array.compactMap(\.string).contains { $0.contains("OMP_THREAD_LIMIT is 1") })
  }
}
