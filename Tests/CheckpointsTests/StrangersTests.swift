// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawTensors

/// Files of the real PyTorch in which the weights lie among other things.
struct StrangersTests {
  static let names = ["strangers.zip.pth", "strangers.legacy.pth", "strangers.protocol4.pth"]

  @Test(arguments: names)
  func theWeightsAreFoundAndTheRestIsListed(_ name: String) throws {
    let checkpoint = try read(fixture(name))
    #expect(
      checkpoint.names == [
        "conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var",
        "bn.num_batches_tracked",
      ])
    #expect(try checkpoint["bn.weight"]?.floats().elements == formula(1, 3).map { $0 / 4 })
    let around = try #require(checkpoint.surroundings)
    #expect(around.place == "state_dict" && around.alternatives == ["ema"])
    for part in [
      "'best_acc1' (a tensor)", "'args' (argparse.Namespace)", "'counts' (a dict)",
      "'norm' (functools.partial)", "'kind' (the name torch.nn.modules.batchnorm.BatchNorm2d)",
      "'settings' (__main__.Settings)", "'when' (datetime.datetime)",
      "'whole_optimizer' (torch.optim.adamw.AdamW)",
    ] {
      #expect(around.leftOut.contains(part), "\(part) in \(around.leftOut)")
    }
    #expect(around.leftOut.contains { $0.hasPrefix("'score' (numpy.") && $0.contains("scalar") })
    #expect(!around.leftOut.contains { $0.contains("state_dict") })
  }

  @Test(arguments: names)
  func plainDataIsKept(_ name: String) throws {
    let data = try #require(try read(fixture(name)).surroundings?.data)
    #expect(data["args"]?["arch"]?.text == "tiny")
    #expect(data["class_to_idx"]?["dog"]?.integer == 1)
    #expect(data["counts"]?["cat"]?.integers == [1])
    #expect(data["seen"]?["a"]?.integer == 2)
    #expect(data["settings"]?["width"]?.integer == 3)
    #expect(data["score"] == .null && data["optimizer"] == .null)
  }

  @Test(arguments: names)
  func aKeyChoosesTheAverage(_ name: String) throws {
    let checkpoint = try CheckpointReader.read(
      bytes: try fixture(name), named: "net.pth", key: "ema")
    #expect(checkpoint.surroundings?.place == "ema" && checkpoint.surroundings?.isChosen == true)
    #expect(checkpoint.surroundings?.prefix == "module.")
    #expect(try checkpoint["bn.weight"]?.floats().elements == formula(1, 3).map { $0 / 2 })
  }

  @Test func arraysInAPlainPickleAreTensors() throws {
    let checkpoint = try read(fixture("arrays.pkl"), "arrays.pkl")
    #expect(checkpoint.surroundings?.place == "model")
    #expect(
      try checkpoint["conv.weight"]?.floats()
        == Tensor(formula(0, 54).map { $0 / 4 }, shape: [3, 2, 3, 3]))
    #expect(try checkpoint["bn.bias"]?.floats().elements == formula(2, 3).map { $0 / 4 })
    #expect(checkpoint.surroundings?.leftOut == ["'__author__' (a str)"])
  }

  @Test func aModuleInsideItselfIsEnteredOnce() throws {
    // {'net': module} where the module's own child is the module. The class comes, as in files before
    // PyTorch 1.6, with the source text of its file.
    var pickle = PickleBytes()
    pickle.op("}")
    pickle.string("net")
    pickle.op("(")
    pickle.string("module")
    pickle.global("some", "Module")
    pickle.string("some.py")
    pickle.string("import os")
    pickle.raw(Array("tQ)".utf8) + [0x81, 0x71, 5])
    pickle.op("}")
    pickle.string("_parameters")
    pickle.op("}")
    pickle.string("weight")
    pickle.tensor(count: 2, sizes: [2], strides: [1])
    pickle.op("s")
    pickle.op("s")
    pickle.string("_modules")
    pickle.op("}")
    pickle.string("me")
    pickle.raw([0x68, 5])
    pickle.op("s")
    pickle.op("s")
    pickle.op("b")
    pickle.op("s")
    let checkpoint = try read(
      PickleBytes.legacyFile(pickle.finished, storages: [("0", 2, floatBytes([1, 2]))]))
    #expect(checkpoint.names == ["weight", "me.weight"])
    #expect(checkpoint.surroundings?.writer == "a pickled module, some.Module")
  }
}
