// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawTensors

/// Files to start from that no test has lying about: those of the formats that Thaw writes itself.
enum Seeds {
  /// Writes the starting files of a target into a folder that exists; of most there are none.
  static func write(_ target: String, into folder: FilePath) throws {
    switch target {
    case "onnx": try writeNetworks(into: folder)
    case "model": try writeModels(into: folder)
    case "keras-graph": try KerasSeeds.write(into: folder)
    case "safetensors", "names": try writeTensors(into: folder)
    case "beside": try writeTexts(into: folder)
    case "table": try writeTables(into: folder)
    case "review":
      let photo = String(repeating: "ab", count: 32) + "\tcat\ta/1.jpg\n"
      try AtomicFile.write(
        folder.appending("review.tsv"),
        text: "# thaw review 1\n7\tkeep\t\(photo)8\tdrop\t\(photo)9\tundo\t\(photo)")
    case "jpeg", "png": try writeImages(target, into: folder)
    default: break
    }
  }

  /// Labels as spreadsheets, Kaggle and Hugging Face write them.
  private static func writeTables(into folder: FilePath) throws {
    let tables = [
      "usual.csv":
        "\u{FEFF}path,label,split,group\r\n\"a, b.jpg\",cat,train,p1\r\nc.jpg,\"say \"\"dog\"\"\",valid,p2\r\n",
      "kaggle.csv": "image_id,healthy,rust,scab\nTrain_0,1,0,0\nTrain_1,0,1,1\nTrain_2,0,-1,1\n",
      "lists.tsv": "file_name\ttags\n1.png\t['a', 'b']\n2.png\ta b\n3.png\t\n",
      "metadata.jsonl": #"{"file_name": "1.jpg", "label": "cat"}"# + "\n"
        + #"{"file_name": "2.jpg", "label": ["a", "b"]}"#,
    ]
    for (name, text) in tables { try AtomicFile.write(folder.appending(name), text: text) }
  }

  /// What libraries put beside weights.
  private static func writeTexts(into folder: FilePath) throws {
    let texts = [
      "labels.txt": "0 cat\n1 dog\n",
      "timm.json": #"{"architecture": "resnet18", "label_names": ["cat", "dog"], "pretrained_cfg":"#
        + #" {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95,"#
        + #" "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#,
      "transformers.json": #"{"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875,"#
        + #" "size": {"shortest_edge": 224}, "image_mean": [0.5, 0.5, 0.5], "resample": 3,"#
        + #" "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.0039, "id2label": {"0": "cat"}}"#,
    ]
    for (name, text) in texts { try AtomicFile.write(folder.appending(name), text: text) }
  }

  // MARK: Networks

  private static func writeNetworks(into folder: FilePath) throws {
    let preprocessing = Preprocessing.torch(inputSize: 32)
    var inside = ONNXExporter.Options()
    inside.includesPreprocessing = true
    for (name, graph) in [("plain", plain), ("gated", gated), ("modern", modern)] {
      let parameters = numbers(for: graph)
      try ONNXWriter.write(
        folder.appending("\(name).onnx"),
        try ONNXExporter.model(of: graph, parameters, preprocessing: preprocessing))
      try ONNXWriter.write(
        folder.appending("\(name)-photos.onnx"),
        try ONNXExporter.model(
          of: graph, parameters, preprocessing: preprocessing, options: inside))
    }
    try ONNXWriter.write(folder.appending("exported.onnx"), exported)
  }

  /// Padded convolution, batch norm, both poolings, a sum, two classes.
  private static var plain: Graph {
    var builder = GraphBuilder(name: "plain", inputChannels: 3)
    let same = Padding.explicit(EdgeInsets(1))
    builder.add(
      "conv",
      .convolution(
        Convolution2D(inputs: 3, outputs: 4, window: Window2D(kernel: 3, stride: 2, padding: same))
      ))
    builder.add("bn", .batchNormalization(BatchNormalization(channels: 4)))
    let first = builder.add("relu", .activation(.relu))
    builder.add("max", .pooling(.maximum, Window2D(kernel: 3, padding: same)))
    builder.add("sum", .add, [first, builder.last])
    builder.add(
      "mean",
      .pooling(.average(includesPadding: true), Window2D(kernel: 2, stride: 2, roundsUp: true)))
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("drop", .dropout(probability: 0.2))
    builder.add("fc", .dense(Dense(inputs: 4, outputs: 2)))
    return builder.build()
  }

  /// A depthwise convolution with a squeeze-and-excitation gate, and a concatenation.
  private static var gated: Graph {
    var builder = GraphBuilder(name: "gated", inputChannels: 3)
    builder.add(
      "stem",
      .convolution(
        Convolution2D(
          inputs: 3, outputs: 6, window: Window2D(kernel: 3, stride: 2, padding: .same),
          hasBias: true)))
    let body = builder.add("silu", .activation(.silu))
    builder.add("squeeze", .globalAveragePooling)
    builder.add(
      "expand",
      .convolution(
        Convolution2D(inputs: 6, outputs: 6, window: Window2D(kernel: 1), hasBias: true)))
    let gate = builder.add("sigmoid", .activation(.sigmoid))
    let gated = builder.add("gate", .gate, [body, gate])
    builder.add(
      "deep",
      .convolution(
        Convolution2D(
          inputs: 6, outputs: 6, window: Window2D(kernel: 3, dilation: 2, padding: .same),
          groups: 6)), [gated])
    builder.add("clip", .activation(.relu6))
    builder.add("both", .concatenate, [gated, builder.last])
    builder.beginGroup("head")
    builder.add("pool", .globalMaximumPooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 12, outputs: 3, hasBias: false)))
    return builder.build()
  }

  /// Layer norms, GELU and a layer scale, channels last in the file.
  private static var modern: Graph {
    var builder = GraphBuilder(name: "modern", inputChannels: 3)
    builder.add(
      "stem",
      .convolution(
        Convolution2D(
          inputs: 3, outputs: 4, window: Window2D(kernel: 4, stride: 4), hasBias: true)))
    let start = builder.add("norm", .layerNormalization(LayerNormalization(channels: 4)))
    builder.add(
      "wide",
      .convolution(
        Convolution2D(
          inputs: 4, outputs: 8, window: Window2D(kernel: 1), hasBias: true, storesMatrix: true)))
    builder.add("gelu", .activation(.gelu))
    builder.add(
      "narrow",
      .convolution(
        Convolution2D(
          inputs: 8, outputs: 4, window: Window2D(kernel: 1), hasBias: true, storesMatrix: true)))
    builder.add("scale", .channelScale(ChannelScale(channels: 4)))
    builder.add("sum", .add, [start, builder.last])
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 4, outputs: 2)))
    return builder.build()
  }

  /// What exporters write and Thaw does not: shapes computed on the way, padding and transposes.
  private static var exported: ONNXModel {
    func node(
      _ operation: String, _ inputs: [String], _ output: String,
      _ attributes: [String: ONNXAttribute] = [:]
    ) -> ONNXNode {
      ONNXNode(
        operation, name: "/\(output)/\(operation)", inputs: inputs, outputs: [output],
        attributes: attributes)
    }
    let nodes = [
      node("Transpose", ["x"], "chw", ["perm": .integers([0, 3, 1, 2])]),
      node("Pad", ["chw", "pads"], "padded", ["mode": .text("constant")]),
      node("Conv", ["padded", "w"], "c", ["strides": .integers([2, 2])]),
      node("Clip", ["c", "", ""], "r0", ["min": .float(0), "max": .float(6)]),
      node("Mul", ["r0", "half"], "r"),
      node("ReduceMean", ["r"], "mean", ["axes": .integers([2, 3]), "keepdims": .integer(1)]),
      node("Shape", ["mean"], "s"), node("Constant", [], "zero", ["value_int": .integer(0)]),
      node("Gather", ["s", "zero"], "n", ["axis": .integer(0)]),
      node("Unsqueeze", ["n"], "n1", ["axes": .integers([0])]),
      node("Constant", [], "rest", ["value_ints": .integers([-1])]),
      node("Concat", ["n1", "rest"], "target", ["axis": .integer(0)]),
      node("Reshape", ["mean", "target"], "flat"), node("MatMul", ["flat", "m"], "product"),
      node("Add", ["product", "b"], "logits"),
      node("Softmax", ["logits"], "probabilities", ["axis": .integer(-1)]),
    ]
    let constants = [
      StoredTensor("w", tensor([4, 3, 3, 3])), StoredTensor("half", tensor([1])),
      StoredTensor("m", tensor([4, 2])), StoredTensor("b", tensor([2])),
      StoredTensor(
        "pads", .int64, [8],
        bytes: [0, 0, 1, 1, 0, 0, 1, 1].flatMap { [UInt8($0)] + [UInt8](repeating: 0, count: 7) }),
    ]
    return ONNXModel(
      operationSets: ["": 13], producer: ("pytorch", "2.0"),
      graph: ONNXGraph(
        name: "exported", nodes: nodes, initializers: constants,
        inputs: [ONNXValue("x", .float32, [.named("n"), .size(8), .size(8), .size(3)])],
        outputs: [ONNXValue("probabilities", .float32, nil)]))
  }

  private static func numbers(for graph: Graph) -> Parameters {
    var parameters = Parameters()
    for parameter in graph.parameters { parameters[parameter.path] = tensor(parameter.shape) }
    return parameters
  }

  private static func tensor(_ shape: Shape) -> Tensor<Float> {
    Tensor((0..<shape.count).map { Float($0 % 7 + 1) / 8 }, shape: shape)
  }

  /// Model files of imported networks: the structure travels in them.
  private static func writeModels(into folder: FilePath) throws {
    let preprocessing = Preprocessing.torch(inputSize: 32)
    for (name, graph) in [("plain", plain), ("gated", gated), ("modern", modern)] {
      let parameters = numbers(for: graph)
      try ModelFile.write(
        folder.appending("\(name).safetensors"),
        ModelRecord(
          thawVersion: "1", architecture: "onnx",
          classNames: name == "gated" ? ["a", "b", "c"] : ["a", "b"],
          preprocessing: preprocessing.json,
          structure: try ONNXStructure.text(of: graph, parameters, preprocessing: preprocessing)),
        parameters)
    }
  }

  // MARK: Tensors and images

  private static func writeTensors(into folder: FilePath) throws {
    let names = [
      "conv1.weight", "bn1.running_mean", "module.layer1.0.conv1.weight", "fc.bias",
      "conv1_bn/moving_mean", "predictions/kernel:0", "blocks.0.0.conv_dw.weight",
    ]
    try SafetensorsWriter.write(
      folder.appending("names.safetensors"), names.map { StoredTensor($0, tensor([2, 3])) },
      metadata: ["format": "pt"])
    let half = StoredTensor("half", .float16, [2, 2], bytes: [0, 60, 0, 62, 255, 127, 1, 0])
    try SafetensorsWriter.write(folder.appending("half.safetensors"), [half])
  }

  private static func writeImages(_ format: String, into folder: FilePath) throws {
    for side in [1, 8, 33] {
      let image = RGBImage(size: PixelSize(width: side, height: 2 * side)) { samples in
        for index in samples.indices { samples[index] = UInt8(truncatingIfNeeded: index * 37) }
      }
      let bytes = try format == "jpeg" ? JPEGEncoder.encode(image) : PNGEncoder.encode(image)
      try AtomicFile.write(folder.appending("seed-\(side)"), bytes: bytes)
    }
  }
}
