// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawConsole
import ThawInference

@Suite struct PatchTests {
  @Test func aSizeThatPatchesDoNotDivideIsRefused() throws {
    let graph = try Architecture(named: "vit_tiny_patch16_224").graph(Head(classes: 2))
    try graph.requireWholePatches([224, 160])
    let error = #expect(throws: PipelineError.self) { try graph.requireWholePatches([160, 165]) }
    #expect(error?.description.hasSuffix("do not divide it. Take 160 or 176.") == true)
    let small = #expect(throws: PipelineError.self) { try graph.requireWholePatches([9]) }
    #expect(small?.description.hasSuffix("Take 16.") == true)
  }

  @Test func networksWithoutPatchesTakeAnySize() throws {
    for name in ["resnet18", "convnext_tiny"] {
      try Architecture(named: name).graph(Head(classes: 2)).requireWholePatches([165, 33])
    }
  }
}
