// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTestSupport

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
