// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// How to ask the model, from a shell and from a program.
extension HTMLReport {
  var usageSection: Section? {
    guard let usage = content.usage else { return nil }
    let model = ShellWord.quote(usage.model)
    let isSeveral = content.manifest?.severalLabels ?? false
    let answers: Markup =
      isSeveral
      ? "It answers with every class whose probability reaches the class's threshold, perhaps with none."
      : "It always answers with one of its classes, also to a photo of something else."
    let body: Markup = """
      <p>Everything needed is in one file, <span class="path">\(VisibleText.escape(fileName: usage.model))\
      </span>: weights, names of the classes, how photos are prepared. \(answers)</p>
      <h3>Ask it about photos, or folders of photos</h3>
      \(command("thaw predict --model \(model) photo.jpg"))\
      <h3>Hand it to another program</h3>
      <p>As ONNX, which ONNX Runtime and most other tools read:</p>
      \(command("thaw export --model \(model) --to onnx --output model.onnx"))\
      <h3>Use it in a Swift program</h3>
      <pre>import Thaw

      let classifier = try ImageClassifier(contentsOf: \(swiftLiteral(usage.model)))
      let answer = try await classifier.classify(contentsOf: "photo.jpg")
      \(isSeveral ? "print(answer.labels)" : "print(answer.label, answer.probability)")</pre>

      """
    return Section(id: "use", title: "How to use it", body: body)
  }

  /// A string literal of Swift; the file's name alone for a path that is not UTF-8.
  private func swiftLiteral(_ bytes: [UInt8]) -> String {
    let whole = String(decoding: bytes, as: UTF8.self)
    let text = Array(whole.utf8) == bytes ? whole : "model.safetensors"
    let scalars = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "\\": "\\\(scalar)"
      case _ where VisibleText.isHidden(scalar):
        "\\u{\(String(scalar.value, radix: 16))}"
      default: String(scalar)
      }
    }
    return "\"\(scalars.joined())\""
  }
}
