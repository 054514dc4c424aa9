// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawFiles

/// A file from elsewhere that cannot be used: names the file, the reason, the byte and what to do next.
///
/// It is the only error that reading a checkpoint or an archive throws. What it advises of itself is meant
/// for weights; readers of other files say their own.
package struct FormatError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What sort of trouble it is.
  package enum Kind: Sendable, Equatable {
    /// The file cannot be opened or read.
    case unreadable
    /// It is a file of another kind (a Git LFS pointer, a web page, another format).
    case wrongFormat
    /// It ends too early.
    case truncated
    /// It contradicts its own format.
    case malformed
    /// It asks for something that this reader never does, such as calling a function.
    case refused
    /// It is larger than the reader accepts.
    case tooLarge
    /// Its tensors are not those that the network needs.
    case mismatch
  }

  package let file: FilePath
  /// What sort of trouble it is.
  package let kind: Kind
  /// What was expected and what was found, one clause without a full stop.
  package let reason: String
  /// The byte of the file where it was noticed, when there is one.
  package let offset: Int?
  /// What to do next, one sentence.
  package let nextStep: String

  package init(
    _ file: FilePath, _ kind: Kind, _ reason: String, at offset: Int? = nil,
    nextStep: String? = nil
  ) {
    self.file = file
    self.kind = kind
    self.reason = reason
    self.offset = offset
    self.nextStep = nextStep ?? kind.nextStep
  }

  package init(_ error: FileError) {
    // The sentence of a FileError already says what to do; its full stop is ours to set.
    var text = error.reason.text(error.operation)
    if text.hasSuffix(".") { text.removeLast() }
    self.init(error.path, .unreadable, text)
  }

  /// Where, what, expected against found, next step.
  package var description: String {
    let place = offset.map { " (byte \($0))" } ?? ""
    return "\(file.displayed): \(reason)\(place). \(nextStep)"
  }
}

extension FormatError.Kind {
  fileprivate var nextStep: String {
    switch self {
    case .unreadable: "Check the path and its permissions."
    case .wrongFormat:
      "Give a safetensors, PyTorch .pth, Keras .h5 or .keras, NumPy .npz or ONNX file."
    case .truncated, .malformed: "Fetch or copy the file again."
    case .refused:
      "Open it where you trust it and save the plain weights: torch.save(model.state_dict(), path)."
    case .tooLarge: "Save the weights alone, without the optimizer's state."
    case .mismatch: "Check that the weights belong to this architecture."
    }
  }
}

/// A text from a file for a message: one printable line in quotes, at most 80 characters.
package func quoted(_ text: String) -> String {
  let line = VisibleText.escape(fileName: text.utf8.prefix(320))
  return "'" + (line.count > 80 ? line.prefix(79) + "…" : line) + "'"
}
