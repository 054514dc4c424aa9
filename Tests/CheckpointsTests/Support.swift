// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints

/// The bytes of a file in `Fixtures`.
func fixture(_ name: String) throws -> [UInt8] {
  let url = try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: nil))
  return Array(try Data(contentsOf: url))
}

func read(_ bytes: [UInt8], _ name: FilePath = "net.pth") throws(CheckpointError) -> Checkpoint {
  try CheckpointReader.read(bytes: bytes, named: name)
}

/// Reads the structure and every tensor.
func readAll(_ bytes: [UInt8]) throws(CheckpointError) -> Int {
  let checkpoint = try read(bytes)
  for tensor in checkpoint.tensors { _ = try tensor.floats() }
  return checkpoint.count
}

/// Expects a ``CheckpointError`` whose text contains `text`.
func expectRefused(
  _ bytes: [UInt8], _ text: String, _ kind: CheckpointError.Kind? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  do {
    _ = try read(bytes)
    Issue.record("accepted, '\(text)' expected", sourceLocation: sourceLocation)
  } catch {
    #expect(error.description.contains(text), sourceLocation: sourceLocation)
    if let kind { #expect(error.kind == kind, sourceLocation: sourceLocation) }
  }
}

/// The formula of Tools/checkpoint_fixtures.py: a quarter of it for floating types.
func formula(_ number: Int, _ count: Int) -> [Float] {
  (0..<count).map { Float((7 * $0 + 3 * number) % 23 - 11) }
}
