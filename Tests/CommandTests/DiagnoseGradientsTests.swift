// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles
import ThawTinyBackbone

@Suite struct DiagnoseGradientsTests {
  @Test func theModelOfARunIsCheckedLayerByLayer() throws {
    let workspace = try Workspace(count: 4)
    try workspace.fit().succeeded()
    let json = try workspace.thaw(
      "diagnose", "gradients", "--run", "run", "--size", "32", "--elements", "0", "--json"
    ).json()
    #expect(json["verdict"].string == "right", "\(json["recommendation"].string ?? "")")
    #expect(!json["first_wrong_layer"].isThere)
    #expect(try #require(json["worst_relative_error"].double) < 1e-5)
    #expect(try #require(json["worst_engine_error"].double) < 1e-3)
    let layers = json["layers"].array
    // 49 convolutions and the classifier's weight and bias, from the output to the input.
    #expect(layers.count == 51)
    #expect(layers.first?["parameter"].string == "bias")
    #expect(layers.last?["elements"].int == 864)
    let kept = try JSON(try workspace.text("run/diagnosis_gradients.json"))
    #expect(kept["layers"].array.count == 51)
  }

  @Test func modesAndFrozenGroupsAreTakenIntoAccount() throws {
    let outcome = try Workspace(classes: []).thaw(
      "diagnose", "gradients", "--model", TinyBackbone.name, "--freeze-to", "-1",
      "--trainable-batch-norm", "training", "--size", "32")
    outcome.succeeded()
    #expect(outcome.stdout.contains("batch norm inference (frozen) and training (trainable)"))
    #expect(outcome.stdout.contains("right: Every gradient is right"), "\(outcome.stdout)")
  }

  @Test func mistakesAreRefused() throws {
    let workspace = try Workspace(classes: [])
    for (arguments, status) in [
      ([String](), Int32(64)), (["--run", "nowhere"], 65), (["--model", "nowhere"], 65),
      (["--model", TinyBackbone.name, "--batch", "1"], 64),
      (["--model", TinyBackbone.name, "--freeze-to", "9"], 64),
      (["--model", TinyBackbone.name, "--run", "run"], 64),
    ] {
      let outcome = try workspace.start(["diagnose", "gradients"] + arguments).wait()
      #expect(outcome.status == status, "\(arguments): \(outcome.stderr)")
    }
  }
}
