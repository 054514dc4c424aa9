// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Tensors on the way from the photo to the logits that the network has no place for.
@Suite struct HeadSurroundingsTests {
  /// resnet18 below `prefix` with `others` and without its own classifier.
  private static func fit(
    _ prefix: String = "", _ others: [(String, Shape)]
  ) throws -> WeightFit {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 3))
    let own = graph.parameters.filter { !$0.path.description.hasPrefix("fc.") }.map {
      StoredTensor(prefix + $0.path.description, Tensor(zeros: $0.shape))
    }
    let checkpoint = Checkpoint(
      tensors: own + others.map { StoredTensor($0.0, Tensor(zeros: $0.1)) }, metadata: [:],
      format: .torchZip, path: "m.pth")
    let identity = try CheckpointIdentity(checkpoint, cards: [], architecture: "resnet18")
    return try #require(identity.best ?? identity.nearest)
  }

  private static func norm(_ path: String, _ width: Int) -> [(String, Shape)] {
    let shape = Shape([width])
    return ["weight", "bias", "running_mean", "running_var"].map { ("\(path).\($0)", shape) }
      + [("\(path).num_batches_tracked", Shape([1]))]
  }

  private static let hidden: [(String, Shape)] = [
    ("fc.0.weight", [64, 512]), ("fc.0.bias", [64]), ("fc.3.weight", [3, 64]), ("fc.3.bias", [3]),
  ]

  private static let one: [(String, Shape)] = [("fc.1.weight", [3, 512]), ("fc.1.bias", [3])]
  private static let first: [(String, Shape)] = [("fc.0.weight", [3, 512]), ("fc.0.bias", [3])]
  private static let plain: [(String, Shape)] = [("fc.weight", [3, 512])]

  /// Classifiers with a layer more, and the name of a tensor of that layer.
  private static let extended: [([(String, Shape)], String)] = [
    (hidden + norm("fc.1", 64), "fc.1.running_mean"),
    (one + norm("fc.0", 512), "fc.0.running_var"),
    (first + norm("fc.1", 3), "fc.1.weight"),
    (hidden + [("fc.1.weight", Shape([1]))], "fc.1.weight"),
    ([("fc.lin.weight", Shape([3, 512])), ("fc.scale", Shape([1]))], "fc.scale"),
    (plain + [("bnneck.weight", Shape([512]))], "bnneck.weight"),
    (plain + [("avgpool.p", Shape([1]))], "avgpool.p"),
  ]

  @Test(arguments: extended)
  func aLayerInTheClassifierIsUnexpected(_ others: [(String, Shape)], _ name: String) throws {
    let fit = try Self.fit("", others)
    #expect(fit.unexpected.contains(name), "\(fit.unexpected) \(fit.ignored)")
    #expect(!fit.isComplete)
    let counters = fit.unexpected.filter { NetworkPart.isCounter($0) }
    #expect(counters.isEmpty)
  }

  @Test func besideABackboneTheClassifierIsJudgedAlike() throws {
    let head: [(String, Shape)] = [
      ("head.1.weight", [64, 512]), ("head.1.bias", [64]), ("head.4.weight", [3, 64]),
      ("head.4.bias", [3]),
    ]
    for prefix in ["backbone.", "model.backbone."] {
      let outer = prefix == "backbone." ? "" : "model."
      let named = head.map { (outer + $0.0, $0.1) }
      let plain = try Self.fit(prefix, named)
      #expect(plain.isComplete && plain.head == Head(classes: 3, hidden: 64), "\(prefix)")
      let normed = try Self.fit(prefix, named + Self.norm("\(outer)head.2", 64))
      #expect(normed.unexpected.contains(outer + "head.2.running_var"), "\(normed.ignored)")
      let projected = try Self.fit(
        prefix, [(outer + "fc.weight", [3, 512]), (outer + "proj.weight", [512, 512])])
      #expect(projected.unexpected == [outer + "proj.weight"], "\(projected.unexpected)")
    }
  }

  @Test func whatStandsBeforeTheNetworkIsUnexpected() throws {
    let head: [(String, Shape)] = [("model.fc.weight", [3, 512]), ("model.fc.bias", [3])]
    let norm = try Self.fit("model.", head + Self.norm("bn", 3))
    #expect(norm.unexpected.contains("bn.running_mean"), "\(norm.ignored)")
    let convolution = try Self.fit("model.", head + [("att.weight", [3, 3, 1, 1])])
    #expect(convolution.unexpected == ["att.weight"])
  }

  /// What a training leaves behind is still ignored by name.
  @Test func aLossAndStatisticsAreIgnored() throws {
    let others: [(String, Shape)] = [
      ("fc.weight", [3, 512]), ("fc.bias", [3]), ("criterion.weight", [3]),
      ("loss.centers", [3, 512]), ("train_acc.tp", [3]), ("center_loss.weight", [512]),
    ]
    let fit = try Self.fit("", others)
    #expect(fit.isComplete, "\(fit.unexpected)")
    #expect(
      fit.ignored == ["criterion.weight", "loss.centers", "train_acc.tp", "center_loss.weight"])
  }

  /// `affine=False` keeps neither scale nor shift: they are 1 and 0.
  @Test func batchNormsWithoutScaleAndShiftAreFilled() throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 3))
    func fit(without lacking: (String) -> Bool) throws -> (WeightFit, Checkpoint) {
      let checkpoint = Checkpoint(
        tensors: graph.parameters.filter { !lacking($0.path.description) }.map {
          StoredTensor($0.path.description, Tensor(zeros: $0.shape))
        }, metadata: [:], format: .torchZip, path: "m.pth")
      return (WeightFit(checkpoint, try Architecture(named: "resnet18")), checkpoint)
    }
    let affine = Set(
      graph.parameters.filter { [.normScale, .normShift].contains($0.role) }.map(\.path.description)
    )
    let (plain, checkpoint) = try fit { affine.contains($0) }
    #expect(plain.isComplete, "\(plain.missing)")
    let remarks = plain.notes.filter {
      $0.contains("no batch norm in the file has a scale or a shift (40 tensors): 1 and 0")
    }
    #expect(remarks.count == 1, "\(plain.notes)")
    let parameters = try plain.parameters(of: checkpoint)
    #expect(parameters["bn1.weight"]?.elements.allSatisfy { $0 == 1 } == true)
    #expect(parameters["bn1.bias"]?.elements.allSatisfy { $0 == 0 } == true)
    let (half, _) = try fit { $0 == "bn1.bias" }
    #expect(half.missing == ["bn1.bias"])
    // Of one batch norm among many both are gone: the file is not whole.
    let (torn, _) = try fit { ["layer1.0.bn2.weight", "layer1.0.bn2.bias"].contains($0) }
    #expect(torn.missing == ["layer1.0.bn2.weight", "layer1.0.bn2.bias"])
    let (unbiased, _) = try fit { $0 == "fc.bias" }
    #expect(unbiased.isComplete)
    #expect(unbiased.notes.contains { $0.contains("'fc.weight' has no bias beside it: 0") })
  }
}
