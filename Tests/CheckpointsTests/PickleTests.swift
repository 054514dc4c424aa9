// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTestSupport

/// Pickles that try to do something, or contradict themselves.
struct PickleTests {
  /// A legacy file whose object is `body`.
  private func file(_ body: (inout PickleBytes) -> Void) -> [UInt8] {
    var pickle = PickleBytes()
    body(&pickle)
    return PickleBytes.legacyFile(pickle.finished)
  }

  @Test func aCallOfOsSystemIsNotMade() throws {
    let directory = try TemporaryDirectory()
    let canary = directory.path.appending("canary")
    let command = "touch \(canary)"
    func call(_ pickle: inout PickleBytes) {
      pickle.global("os", "system")
      pickle.string(command)
      pickle.raw([0x85, 0x52])
    }
    // Alone, as a plain pickle, and by the two other ways to call something.
    expectRefused(file(call), "found os.system without tensors", .wrongFormat)
    let plain = Array("cos\nsystem\n(X".utf8) + littleEndian(UInt32(command.utf8.count))
    expectRefused(plain + Array("\(command)tR.".utf8), "(os.system, without tensors)", .wrongFormat)
    let named = file { pickle in
      pickle.string("os")
      pickle.string("system")
      pickle.raw([0x93])
      pickle.string(command)
      pickle.raw([0x85, 0x81])
    }
    expectRefused(named, "found os.system without tensors", .wrongFormat)
    // Beside tensors: they are read, the call is listed and not made.
    var pickle = PickleBytes()
    pickle.op("}")
    pickle.string("bomb")
    call(&pickle)
    pickle.op("s")
    pickle.string("layer.weight")
    pickle.tensor(count: 2, sizes: [2], strides: [1])
    pickle.op("s")
    let storages = [("0", 2, floatBytes([1, 2]))]
    let checkpoint = try read(PickleBytes.legacyFile(pickle.finished, storages: storages))
    #expect(try checkpoint["layer.weight"]?.floats().elements == [1, 2])
    #expect(checkpoint.surroundings?.leftOut == ["'bomb' (os.system)"])
    #expect(!FileSystem.exists(canary))
  }

  @Test(arguments: [
    ("builtins", "eval"), ("__builtin__", "exec"), ("torch.hub", "load"), ("torch", "load"),
    ("torch.storage", "_load_from_bytes"), ("collections", "OrderedDict.__init__"),
    ("torch._utils", "_rebuild_tensor_v2 "), ("functools", "partial"),
  ])
  func namesOutsideTheTableStayTexts(_ module: String, _ name: String) {
    expectRefused(
      file { $0.global(module, name) }, "found the name \(module).\(name) without tensors",
      .wrongFormat)
  }

  @Test func aNameWithControlCharactersIsShownEscaped() {
    expectRefused(file { $0.global("os\u{1B}[31m", "x") }, "the name os\\x1b[31m.x")
  }

  @Test func otherWaysToNameAFunctionAreRefused() {
    expectRefused(
      file { $0.raw(Array("(ios\nsystem\n".utf8)) }, "operation INST 'os'.'system'", .refused)
    expectRefused(file { $0.raw([0x28, 0x6F]) }, "operation OBJ", .refused)
    expectRefused(file { $0.raw([0x82, 1]) }, "operation EXT1", .refused)
    expectRefused(file { $0.raw([0x93]) }, "empty stack", .malformed)
    expectRefused(file { $0.raw(Array("NN".utf8) + [0x93]) }, "not two texts", .malformed)
    expectRefused(
      file { $0.raw([0x8B, 0xFF, 0xFF, 0xFF, 0x7F]) }, "2147483647 more bytes", .truncated)
    expectRefused(file { $0.raw([0x97]) }, "operation NEXT_BUFFER", .refused)
    expectRefused(file { $0.raw([0xFF]) }, "operation 0xff", .refused)
  }

  @Test(arguments: [0, 1, 6, 255] as [UInt8])
  func otherProtocolsAreRefused(_ version: UInt8) {
    expectRefused(file { $0.raw([0x80, version]) }, "refuses pickle protocol \(version)", .refused)
  }

  @Test func onlyKnownObjectsAreCalledAndBuilt() {
    let calls: [(String, (inout PickleBytes) -> Void)] = [
      (
        "refuses to call a str",
        {
          $0.string("os.system"); $0.raw(Array(")R".utf8))
        }
      ),
      (
        "refuses to call torch.FloatStorage",
        {
          $0.global("torch", "FloatStorage"); $0.raw(Array(")R".utf8))
        }
      ),
      (
        "refuses to call collections.OrderedDict with (a str)",
        {
          $0.global("collections", "OrderedDict"); $0.string("x"); $0.raw([0x85, 0x52])
        }
      ),
      (
        "arguments are a str, not a tuple",
        {
          $0.orderedDictionary(); $0.string("x"); $0.op("R")
        }
      ),
      ("refuses BUILD of a list", { $0.raw(Array("]}b".utf8)) }),
      (
        "refuses BUILD of the name torch.FloatStorage",
        {
          $0.global("torch", "FloatStorage"); $0.raw(Array("}b".utf8))
        }
      ),
      ("refuses to append to a dict", { $0.raw(Array("})a".utf8)) }),
      ("refuses to append to a tuple", { $0.raw(Array(")(Ne".utf8)) }),
      ("refuses to set an item of a list", { $0.raw(Array("]NNs".utf8)) }),
      (
        "refuses to set an item of a tensor",
        {
          $0.tensor(count: 1, sizes: [1], strides: [1]); $0.raw(Array("NNs".utf8))
        }
      ),
      (
        "refuses a persistent object",
        {
          $0.string("module"); $0.op("Q")
        }
      ),
      ("a list cannot be the key", { $0.raw(Array("}]Ns".utf8)) }),
    ]
    for (text, body) in calls { expectRefused(file(body), text) }
  }

  @Test func stackMarksAndMemoAreChecked() {
    expectRefused(file { $0.op("s") }, "empty stack", .malformed)
    expectRefused(file { $0.raw([0x86]) }, "empty stack", .malformed)
    expectRefused(file { $0.raw(Array("N(00".utf8)) }, "empty stack", .malformed)
    expectRefused(file { $0.raw([0x4E, 0x28, 0x85]) }, "empty stack", .malformed)
    expectRefused(file { $0.op("t") }, "ends a group that it never began", .malformed)
    expectRefused(file { $0.raw([0x68, 7]) }, "recalls value 7", .malformed)
    expectRefused(file { $0.raw([0x71, 7]) }, "empty stack", .malformed)
    expectRefused(file { $0.raw(Array("}(Nu".utf8)) }, "a key without a value", .malformed)
    expectRefused(file { $0.raw([0x58, 1, 0, 0, 0, 0xFF]) }, "not UTF-8", .malformed)
    expectRefused(
      file { $0.raw([0x58, 0xFF, 0xFF, 0xFF, 0xFF]) }, "4294967295 more bytes", .truncated)
  }

  @Test func bombsAreRefusedFast() {
    let start = threadSeconds()
    // A million nested lists; a million nested tuples; doubling by recalling; many marks.
    expectRefused(file { $0.raw([UInt8](repeating: 0x5D, count: 1_000_000)) }, "stack", .tooLarge)
    let tuples = [0x4E] + [UInt8](repeating: 0x85, count: 1_000_000)
    expectRefused(file { $0.raw(tuples) }, "a state dict is expected, found a tuple")
    let laughs = (0..<200).flatMap { _ in [0x68, 0, 0x68, 0, 0x86, 0x71, 0] as [UInt8] }
    expectRefused(file { $0.raw([0x5D, 0x71, 0] + laughs) }, "found a tuple")
    let lists: [UInt8] = [UInt8](repeating: 0x5D, count: 90_000) + [0x74]
    let many = (0..<40).flatMap { _ -> [UInt8] in [0x28] + lists }
    expectRefused(file { $0.raw(many) }, "larger than any list of tensors", .tooLarge)
    let memo = (0..<2_100_000).flatMap { index -> [UInt8] in [0x72] + littleEndian(UInt32(index)) }
    expectRefused(file { $0.raw([0x4E] + memo) }, "larger than any list", .tooLarge)
    expectRefused(file { $0.raw([0x5D, 0x71, 0, 0x68, 0, 0x61]) }, "found a list")
    #expect(threadSeconds() - start < 8)
  }

  @Test func aLargeIntegerIsKeptAsAWord() {
    let bytes = file { $0.raw([0x8A, 255] + [UInt8](repeating: 1, count: 255)) }
    expectRefused(bytes, "found an int of 255 bytes", .wrongFormat)
  }

  @Test func theEntriesAreNamedWhenThereAreNoTensors() {
    let bytes = file { pickle in
      pickle.op("}")
      pickle.string("epoch")
      pickle.integer(3)
      pickle.op("s")
    }
    expectRefused(bytes, "its entries are 'epoch'", .wrongFormat)
    expectRefused(file { $0.op("}") }, "holds no tensors", .wrongFormat)
  }

  @Test func oldSpellingsOfAStateDictAreRead() throws {
    // Python 2: an OrderedDict of pairs, byte strings; PyTorch 0.1: _rebuild_tensor and Parameter.
    var pickle = PickleBytes()
    pickle.global("collections", "OrderedDict")
    pickle.raw(Array("](U".utf8) + [1] + Array("a".utf8))
    pickle.global("torch.nn.parameter", "Parameter")
    pickle.global("torch._utils", "_rebuild_tensor")
    pickle.op("(")
    pickle.storage(key: "0", count: 6, view: [2, 4])
    pickle.integer(1)
    pickle.tuple([3])
    pickle.tuple([1])
    pickle.raw(Array("tR".utf8) + [0x85, 0x52, 0x89, 0x89])
    pickle.orderedDictionary()
    pickle.raw([0x87, 0x62, 0x86] + Array("e".utf8) + [0x85, 0x52])
    let bytes = PickleBytes.legacyFile(
      pickle.finished, storages: [("0", 6, floatBytes([0, 1, 2, 3, 4, 5]))])
    #expect(try read(bytes)["a"]?.floats() == Tensor([3, 4, 5], shape: [3]))
  }
}
