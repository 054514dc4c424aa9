// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawFiles
import ThawTestSupport

/// Model files that say what no training writes.
@Suite struct HostileModelTests {
  @Test func anImpossibleHeadIsAnErrorAndNoTrap() throws {
    let workspace = try Workspace(count: 4)
    try workspace.fit().succeeded()
    let (record, parameters) = try ModelFile.read(workspace.file("run/model.safetensors"))
    let photo = "photos/red/0.png"
    for head in ["\"hidden\":-5,", "\"hidden\":70000,", "\"hidden\":9223372036854775807,"] {
      var hostile = record
      hostile.training = record.training.replacing("\"head\":{", with: "\"head\":{" + head)
      #expect(hostile.training != record.training)
      try ModelFile.write(workspace.file("hostile.safetensors"), hostile, parameters)
      let outcome = try workspace.thaw("predict", "--model", "hostile.safetensors", photo)
      #expect(outcome.status == 65)
      #expect(outcome.stderr.contains("is impossible"), "\(outcome.stderr)")
    }
  }
}
