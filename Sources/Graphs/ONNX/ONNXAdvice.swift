// SPDX-License-Identifier: Apache-2.0

/// What an exporter can be told so that an operation does not come into the file.
enum ONNXAdvice {
  /// For an operation of ONNX's own; nil when nothing is known that helps.
  static func operation(_ name: String) -> String? {
    switch name {
    case "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv",
      "ConvInteger", "MatMulInteger", "QLinearMatMul":
      "Export the network before it is quantised."
    case "If", "Loop", "Scan", "SequenceAt", "SequenceConstruct", "SplitToSequence":
      "Export a traced model, not a scripted one: torch.onnx.export(model, (example,), ...) without"
        + " torch.jit.script; with tf2onnx, a model without tf.cond and tf.while_loop."
    case "Resize", "Upsample":
      "Resize photos before the network: leave the layer out of the exported model."
    case "Attention", "MultiHeadAttention":
      "Attention is read where it is written out: export with an operation set before 23, as with"
        + " torch.onnx.export(..., opset_version=18)."
    case "LSTM", "GRU", "RNN":
      "Convolutional networks and vision transformers are imported from ONNX, no recurrent ones."
    case "NonMaxSuppression", "RoiAlign":
      "That is a detector's; export its backbone with a classifier."
    case "BitShift", "DecodeJpeg", "StringNormalizer":
      "Decode photos before the network: export the model from its first layer on."
    default: nil
    }
  }

  /// For an operation of somebody's own set.
  static func domain(_ name: String) -> String {
    switch name {
    case "com.microsoft", "com.microsoft.nchwc":
      "it was made by ONNX Runtime's optimiser. Import the file from before, or optimise with"
        + " graph_optimization_level = ORT_ENABLE_BASIC"
    case "org.pytorch.aten", "aten":
      "it is PyTorch's own operation. Export with torch.onnx.export(..., dynamo=True), or with"
        + " operator_export_type=ONNX"
    case "ai.onnx.ml":
      "of the classical models' operations only a linear classifier, a scaler and ZipMap are known;"
        + " with skl2onnx export a LogisticRegression(multi_class=\"multinomial\")"
    default: "operations of other domains than ONNX's own are not known"
    }
  }
}
