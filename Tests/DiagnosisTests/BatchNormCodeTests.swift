// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis

@Suite struct BatchNormCodeTests {
  @Test(arguments: [
    ("yours.pth", "", [BatchNormCode.System.torch]),
    ("yours.pt2", "", [.torch]),
    ("yours.KERAS", "", [.keras]),
    ("yours.h5", "", [.keras]),
    ("yours.onnx", "tf2onnx 1.16.1", [.keras]),
    ("yours.onnx", "keras", [.keras]),
    ("yours.onnx", "pytorch 2.5", [.torch]),
    ("yours.onnx", "", [.keras, .torch]),
    ("yours.npz", "", [.keras, .torch]),
  ])
  func linesAreForTheProgramThatTheNetworkCameFrom(
    file: String, writer: String, expected: [BatchNormCode.System]
  ) {
    #expect(BatchNormCode.System.candidates(file: file, writer: writer) == expected)
  }
}
