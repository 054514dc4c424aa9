// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// A kernel could not be built or run.
package enum ExecutionError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A library call failed.
  case kernel(library: String, operation: String, layer: ParameterPath?, status: String)
  /// An engine has no kernel for an operation.
  case unsupported(operation: String, layer: ParameterPath, engine: String)
  /// An engine's plans cannot switch batch norms one by one.
  case uninspectable(engine: String)

  /// Training a batch would take more bytes of memory than may be used.
  case memory(batch: Int, needed: Int, allowed: Int)

  /// A network in eight bits was to be trained.
  case trainingOnBytes

  /// Whether it says that an engine has no kernel for an operation: another engine may have one.
  package var isMissingKernel: Bool {
    if case .unsupported = self { true } else { false }
  }

  /// Whether a smaller batch would do.
  package var isLackOfMemory: Bool {
    if case .memory = self { true } else { false }
  }

  /// Where, what, next step.
  package var description: String {
    switch self {
    case .kernel(let library, let operation, let layer, let status):
      "\(layer.map { "layer '\($0)': " } ?? "")\(library) failed in \(operation): \(status)."
    case .unsupported(let operation, let layer, let engine):
      "layer '\(layer)': \(engine) has no kernel for \(operation). Use --engine reference."
    case .memory(let batch, let needed, let allowed):
      "training \(batch) photos at a time takes about \(needed >> 20) MB of memory, and \(allowed >> 20) MB may be"
        + " used for it. Give a smaller --batch with more --accumulation, a smaller --size, or more --memory."
    case .trainingOnBytes:
      "a network in eight bits cannot be trained: its weights are whole multiples of a step. Train the model it"
        + " was made of, in float32 or bfloat16, and run thaw quantize on the result."
    case .uninspectable(let engine):
      "\(engine) cannot switch batch norms one by one. Use --engine reference."
    }
  }
}
