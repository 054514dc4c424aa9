// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawArchives
import ThawBackbones
import ThawCheckpoints
import ThawDatasets
import ThawFiles
import ThawGraphs
import ThawImages
import ThawInference

/// One reader under test. Whatever the bytes are, it must return or throw its own error.
struct FuzzTarget: Sendable {
  let name: String
  let run: @Sendable (UnsafeRawBufferPointer) -> Void

  static let all: [FuzzTarget] = [
    FuzzTarget(name: "checkpoint") { read(Array($0)) },
    // The same reader; the starting files decide which part of it is reached.
    FuzzTarget(name: "safetensors") { read(Array($0)) },
    FuzzTarget(name: "torch-zip") { read(Array($0)) },
    FuzzTarget(name: "torch-legacy") { read(Array($0)) },
    FuzzTarget(name: "keras-h5") { read(Array($0)) },
    FuzzTarget(name: "keras-archive") { read(Array($0)) },
    FuzzTarget(name: "keras-graph") { build(Array($0)) },
    FuzzTarget(name: "numpy") { read(Array($0)) },
    FuzzTarget(name: "onnx") { translate(Array($0)) },
    FuzzTarget(name: "model") { open(Array($0)) },
    FuzzTarget(name: "names") { recognise(Array($0)) },
    FuzzTarget(name: "beside") { describe(Array($0)) },
    FuzzTarget(name: "json") { bytes in
      _ = try? JSONValue(parsing: String(decoding: bytes, as: UTF8.self))
    },
    FuzzTarget(name: "jpeg") { decode(Array($0)) },
    FuzzTarget(name: "png") { decode(Array($0)) },
    FuzzTarget(name: "webp") { decode(Array($0)) },
    FuzzTarget(name: "gif") { decode(Array($0)) },
    FuzzTarget(name: "bmp") { decode(Array($0)) },
    FuzzTarget(name: "tiff") { decode(Array($0)) },
    FuzzTarget(name: "heic") { decode(Array($0)) },
    FuzzTarget(name: "avif") { decode(Array($0)) },
    FuzzTarget(name: "profile") { decode(Array($0), convertsProfiles: true) },
    FuzzTarget(name: "photo-zip") { unpack(Array($0)) },
    FuzzTarget(name: "photo-tar") { unpack(Array($0)) },
    FuzzTarget(name: "table") { list(Array($0)) },
    FuzzTarget(name: "review") { list(Array($0), isReview: true) },
  ]

  /// Reads a table of labels, or what people decided about photos. Both are read from files: this one is in memory.
  private static func list(_ bytes: [UInt8], isReview: Bool = false) {
    let file = FilePath("/dev/shm/thaw-fuzz-\(getpid())")
    guard (try? AtomicFile.write(file, bytes: bytes)) != nil else { return }
    if isReview {
      _ = try? ReviewDecisions(contentsOf: file)
    } else {
      _ = try? LabelTable(contentsOf: file)
    }
    unlink(file.string)
  }

  /// Reads the structure, and of the tensors as much as a test has time for.
  private static func read(_ bytes: [UInt8]) {
    guard let checkpoint = try? CheckpointReader.read(bytes: bytes, named: "fuzz") else { return }
    var left = 1 << 22
    for tensor in checkpoint.tensors where tensor.byteCount <= left {
      left -= tensor.byteCount
      _ = try? tensor.floats()
    }
    if ModelFile.isModelFile(checkpoint) { _ = try? ModelFile.read(checkpoint) }
  }

  /// Reads a graph and makes a network of it.
  private static func translate(_ bytes: [UInt8]) {
    guard let model = try? ONNXReader.read(bytes: bytes, named: "fuzz") else { return }
    _ = try? ONNXNetwork(model, file: "fuzz", size: 32)
    for tensor in model.graph.initializers where tensor.byteCount <= 1 << 20 {
      _ = try? tensor.floats()
    }
  }

  /// Makes a network of a Keras configuration, whatever it says, with the arrays of the tests' files.
  private static func build(_ bytes: [UInt8]) {
    guard let json = try? JSONValue(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
    let name = json["config"]?["name"]?.text
    let same = KerasSeeds.checkpoints.first { $0.kerasModel?.modelName == name }
    guard let base = same ?? KerasSeeds.checkpoints.first, let model = base.kerasModel else {
      return
    }
    let changed = Checkpoint(
      tensors: base.tensors, metadata: [:], format: base.format, path: "fuzz",
      kerasModel: KerasModel(configuration: json, weights: model.weights))
    guard let network = try? KerasNetwork(changed, freeSide: 32) else { return }
    _ = network.preprocessing(.kerasGeometry(32))
  }

  /// Builds the network of a model file.
  private static func open(_ bytes: [UInt8]) {
    guard let checkpoint = try? CheckpointReader.read(bytes: bytes, named: "fuzz"),
      ModelFile.isModelFile(checkpoint),
      let (record, parameters) = try? ModelFile.read(checkpoint),
      let contract = try? Preprocessing(json: record.preprocessing),
      let graph = try? Architecture.graph(
        of: record, parameters, head: Head(classes: record.classNames.count), file: "fuzz")
    else { return }
    _ = contract.description
    try? parameters.validate(for: graph)
  }

  /// Sets a file's tensors against one network of each naming scheme.
  private static func recognise(_ bytes: [UInt8]) {
    guard let checkpoint = try? CheckpointReader.read(bytes: bytes, named: "fuzz") else { return }
    for name in ["resnet18", "efficientnet_lite0", "tf_efficientnet_b0", "resnet50_keras"] {
      guard
        let identity = try? CheckpointIdentity(checkpoint, cards: [], architecture: name),
        let fit = identity.nearest
      else { continue }
      _ = ConcatPoolHead(checkpoint, fit)
      _ = ForeignSummary(ForeignFile(checkpoint), fit, identity.otherParts)
    }
    _ = ForeignFile(checkpoint).classLists
  }

  /// Reads what lies beside weights: class names and preprocessing.
  private static func describe(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    _ = ClassList(text: text, origin: "fuzz")
    guard let json = try? JSONValue(parsing: text) else { return }
    _ = ClassList.all(in: json, place: "fuzz")
    _ = try? StatedContract(processor: json, configuration: json, path: "fuzz")
  }

  /// Lists an archive of photos and reads what is in it.
  private static func unpack(_ bytes: [UInt8]) {
    let source = ByteSource(bytes, path: "fuzz")
    var rules = ZIPArchive.Rules()
    rules.allowsComment = true
    rules.allowsAnyEncoding = true
    rules.total = ArchiveLimits.decompressedPhotos
    if let zip = try? ZIPArchive(source, rules: rules) {
      for entry in zip.entries where entry.size <= 1 << 20 {
        _ = try? zip.contents(entry, limit: 1 << 20)
      }
    }
    if let tar = try? TarArchive(source, limit: 1000) {
      for entry in tar.entries { _ = try? source.bytes(at: entry.start, count: entry.size) }
    }
    if let inner = try? GzipFile.unpacked(source, limit: 1 << 24) {
      _ = try? TarArchive(inner, limit: 1000)
    }
  }

  private static func decode(_ bytes: [UInt8], convertsProfiles: Bool = false) {
    var options = DecodeOptions()
    options.convertsProfiles = convertsProfiles
    // Legal files may be large; the limit of pixels is tested elsewhere.
    guard let header = try? ImageDecoder.probe(bytes),
      header.size.width * header.size.height <= 1 << 20
    else { return }
    _ = try? ImageDecoder.decode(bytes, options: options)
  }
}

/// libFuzzer's entry for programs that have a main function of their own.
///
/// - Source: LLVM, compiler-rt/lib/fuzzer/FuzzerDriver.cpp.
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
  _ argumentCount: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main
enum Fuzz {
  /// The target that the first argument names.
  static let target: FuzzTarget? = FuzzTarget.all.first {
    CommandLine.arguments.dropFirst().first == $0.name
  }

  static func main() throws {
    guard let target else {
      let names = FuzzTarget.all.map(\.name).joined(separator: " ")
      print("usage: thaw-fuzz TARGET (--seeds FOLDER | [libFuzzer's arguments])\ntargets: \(names)")
      exit(64)
    }
    if CommandLine.argc == 4, CommandLine.arguments[2] == "--seeds" {
      return try Seeds.write(target.name, into: FilePath(CommandLine.arguments[3]))
    }
    // The target's name is not for libFuzzer.
    var count = CommandLine.argc - 1
    var arguments = CommandLine.unsafeArgv + 1
    arguments[0] = CommandLine.unsafeArgv[0]
    let status = runFuzzer(&count, &arguments) { bytes, count in
      Fuzz.target?.run(UnsafeRawBufferPointer(start: bytes, count: count))
      return 0
    }
    exit(status)
  }
}
