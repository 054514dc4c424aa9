// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints

/// One call of an ATen operation in an exported program.
struct ATenCall {
  /// `conv2d` of `torch.ops.aten.conv2d.default`; the whole target for operations of others.
  let operation: String
  let target: String
  /// Its name in the program.
  let name: String
  /// The first result; nil when it makes no tensor.
  let result: String?
  /// All results that are tensors.
  let results: [String]
  private var arguments: [String: JSONValue] = [:]

  init?(_ json: JSONValue) {
    guard let target = json["target"]?.text else { return nil }
    self.target = target
    let parts = target.split(separator: ".").map(String.init)
    let isATen = target.hasPrefix("torch.ops.aten.") && parts.count >= 4
    operation = isATen ? parts[3] : target
    let output = json["outputs"]?.elements?.first
    result =
      output?["as_tensor"]?["name"]?.text
      ?? output?["as_tensors"]?.elements?.first?["name"]?.text
    results =
      output?["as_tensors"]?.elements?.compactMap { $0["name"]?.text }
      ?? (json["outputs"]?.elements ?? []).compactMap { $0["as_tensor"]?["name"]?.text }
    name = json["name"]?.text ?? result ?? operation
    for input in json["inputs"]?.elements ?? [] {
      if let name = input["name"]?.text { arguments[name] = input["arg"] }
    }
  }

  /// For messages: `node 'conv2d_1' (aten.conv2d)`.
  var displayed: String {
    let short =
      target.hasPrefix("torch.ops.") ? String(target.dropFirst("torch.ops.".count)) : target
    return "node '\(Printable(name))' (\(Printable(short)))"
  }

  /// The value that the argument is, by its name in the program.
  func tensor(_ name: String) -> String? { arguments[name]?["as_tensor"]?["name"]?.text }

  /// The values of a list; nil where one is left out.
  func tensors(_ name: String) -> [String?]? {
    if let all = arguments[name]?["as_tensors"]?.elements { return all.map { $0["name"]?.text } }
    return arguments[name]?["as_optional_tensors"]?.elements?.map {
      $0["as_tensor"]?["name"]?.text
    }
  }

  /// Whether the argument is given and is not None.
  func has(_ name: String) -> Bool {
    guard let argument = arguments[name] else { return false }
    return argument["as_none"] == nil
  }

  func integer(_ name: String) -> Int? { arguments[name]?["as_int"]?.integer }
  func text(_ name: String) -> String? { arguments[name]?["as_string"]?.text }
  func flag(_ name: String) -> Bool { arguments[name]?["as_bool"] == .boolean(true) }

  /// A number, integers among them.
  func number(_ name: String) -> Double? {
    let argument = arguments[name]
    return (argument?["as_float"] ?? argument?["as_int"])?.double
  }

  /// Integers; an extent that is free stands for itself as 0.
  func integers(_ name: String) -> [Int]? {
    let argument = arguments[name]
    if let plain = argument?["as_ints"]?.integers { return plain }
    if let single = argument?["as_int"]?.integer { return [single] }
    return argument?["as_sym_ints"]?.elements?.map { $0["as_int"]?.integer ?? 0 }
  }
}
