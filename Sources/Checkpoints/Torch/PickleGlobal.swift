// SPDX-License-Identifier: Apache-2.0

/// The names in a checkpoint that mean something here: a fixed table from text to a case of this type.
/// Nothing is ever imported; a name that is not in the table stays a text, and what would be made by
/// it becomes a ``PickleObject``.
enum PickleGlobal: Sendable, Equatable {
  /// `collections.OrderedDict`: becomes a dictionary.
  case orderedDictionary
  /// `collections.defaultdict` (factory): an empty dictionary; the factory is not called.
  case defaultDictionary
  /// `collections.Counter` (dictionary).
  case counter
  /// `torch._utils._rebuild_tensor` (storage, offset, sizes, strides).
  case rebuildTensor
  /// `torch._utils._rebuild_tensor_v2` (the same and requires_grad, hooks).
  case rebuildTensorV2
  /// `torch._utils._rebuild_parameter` or `torch.nn.parameter.Parameter` (tensor, ...).
  case parameter
  /// `torch._utils._rebuild_parameter_with_state` (tensor, requires_grad, hooks, state).
  case parameterWithState
  /// `torch._tensor._rebuild_from_type_v2` (function, class, its arguments, state): a tensor of a class
  /// of its own, such as fastai's.
  case rebuildFromType
  /// `torch.Size`: becomes its tuple.
  case size
  /// `torch.device`: kept as a word.
  case device
  /// `torch.float32` and its like: kept as a word.
  case elementType
  /// `torch.FloatStorage` and its like.
  case storage(ElementType)

  /// The case for `module.name`, nil when it is not in the table.
  init?(_ name: String) {
    guard let known = PickleGlobal.table[name] else { return nil }
    self = known
  }

  private static let table: [String: PickleGlobal] = {
    var table: [String: PickleGlobal] = [
      "collections.OrderedDict": .orderedDictionary,
      "collections.defaultdict": .defaultDictionary,
      "collections.Counter": .counter,
      "torch._utils._rebuild_parameter_with_state": .parameterWithState,
      "torch._tensor._rebuild_from_type_v2": .rebuildFromType,
      "torch._utils._rebuild_tensor": .rebuildTensor,
      "torch._utils._rebuild_tensor_v2": .rebuildTensorV2,
      "torch._utils._rebuild_parameter": .parameter,
      "torch.nn.parameter.Parameter": .parameter,
      "torch.Size": .size,
      "torch.device": .device,
    ]
    let types: [(String, String, ElementType)] = [
      ("Double", "float64", .float64), ("Float", "float32", .float32),
      ("Half", "float16", .float16),
      ("BFloat16", "bfloat16", .bfloat16), ("Long", "int64", .int64), ("Int", "int32", .int32),
      ("Short", "int16", .int16), ("Char", "int8", .int8), ("Byte", "uint8", .uint8),
      ("Bool", "bool", .bool),
    ]
    for (storage, name, type) in types {
      table["torch.\(storage)Storage"] = .storage(type)
      table["torch.\(name)"] = .elementType
    }
    return table
  }()
}
