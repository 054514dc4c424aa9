// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork

/// The README beside an exported file: all that somebody without Thaw needs to get Thaw's answers from it.
struct ExportReadme {
  let name: String
  let model: StoredModel
  let test: TestVector
  /// What logits are divided by; nil of a model that is not calibrated.
  let temperature: Double?
  let format: ExportStage.Format
  let inputs: [ExportStage.Value]
  let outputs: [ExportStage.Value]
  let checks: [ExportCheck]
  /// Names of the programs that were written as well.
  let programs: (python: String, javaScript: String)?

  /// The page, in Markdown.
  var text: String {
    let parts = [
      heading, photos, network, answers, vector, usage, limits,
      "## Checked when it was written\n\n"
        + checks.map { "- \($0.text)\n" }.joined(),
    ]
    return parts.filter { !$0.isEmpty }.joined(separator: "\n")
  }

  private var shown: String { Markdown.code(name) }

  private var heading: String {
    let classes = model.record.classNames.enumerated().map { index, name in
      "\(index) \(JSONValue.string(name).serialized)\n"
    }
    return """
      # \(shown)

      An image classifier, written by `thaw export` \(thawVersion): the network \
      \(Markdown.code(model.record.architecture)). This page says how a photo becomes its answer. Whoever does the \
      same gets the probabilities of `thaw predict` to 1e-5; the test vector below tells whether you do.

      Its classes, in the order of its outputs, as JSON strings:

      ```
      \(classes.joined())```

      """
  }

  private var network: String {
    guard format == .onnx else {
      return """
        ## 2. From the numbers to logits

        Load the tensors into the network they belong to (in PyTorch `load_state_dict` with `strict=True`), put it into \
        inference mode (`model.eval()`), and give it the numbers of step 1 as [1, 3, \(side), \(side)]. The result is a \
        row of logits, one a class\(model.record.outputActivation == .singleSigmoid ? " but the first, whose is 0" : "").

        """
    }
    func list(_ values: [ExportStage.Value]) -> String {
      values.map { "`\($0.name)`, \($0.type) [\($0.shape.joined(separator: ", "))]" }
        .joined(separator: " and ")
    }
    return """
      ## 2. From the numbers to the network's results

      In: \(list(inputs)). Out: \(list(outputs)). The batch is free. \
      \(inputs.first?.type == "uint8" ? "The bytes of the square go in as they are: the graph itself does what 1.6 says." : "")

      """
  }

  private var side: Int { model.preprocessing.inputSize }

  private var answers: String {
    var lines = ["## 3. From the results to the answer", ""]
    let divisor = temperature.map { " / \($0)" } ?? ""
    let given = outputs.contains { $0.name == "probabilities" }
    switch model.record.outputActivation {
    case .softmax:
      lines.append(
        given
          ? "`probabilities` are those of `thaw predict`: the softmax of `logits\(divisor)`."
          : "The probabilities are the softmax of `logits\(divisor)`: exp(z[c]) over the sum of exp(z[k]),"
            + " with z = logits\(divisor).")
    case .independentSigmoids:
      lines.append("Each class has a probability of its own, 1 / (1 + exp(-logit)).")
    case .singleSigmoid:
      lines.append(
        "There is one output for two classes: p = 1 / (1 + exp(-logit)) is the probability of class 1,"
          + " 1 - p that of class 0.")
    }
    if temperature != nil {
      lines.append(
        "The division is the model's calibration: it makes probabilities say how often answers are right, and"
          + " changes no answer.")
    }
    lines += [""] + decision
    return lines.joined(separator: "\n") + "\n"
  }

  private var decision: [String] {
    let thresholds = JSONValue.array(
      model.record.thresholds.map { .number(Double($0.description) ?? Double($0)) })
    if model.record.outputActivation.allowsSeveralLabels {
      let text = model.record.thresholds.isEmpty ? "0.5 each" : thresholds.serialized
      return ["A photo has every class whose probability is at least its threshold: \(text)."]
    }
    guard !model.record.thresholds.isEmpty else {
      return ["The answer is the most probable class, of equals the first."]
    }
    return [
      "Classes have thresholds, in their order (0: none): \(thresholds.serialized). Of the classes with a"
        + " threshold that reach it, the answer is the one with the largest quotient of probability and"
        + " threshold. Where none does, it is the most probable class if that has no threshold; if it has"
        + " one, the photo is undecided."
    ]
  }

  private var vector: String {
    let size = TestVector.size
    return """
      ## Test vector

      Make a photo of \(size.width) columns x and \(size.height) rows y, whose sample of channel c (0 red, 1 green, 2 blue) is \
      `\(TestVector.formula)`, all whole numbers, `//` rounding down. Then

      - the SHA-256 of the \(side) x \(side) x 3 bytes of the square after 1.5 is
        `\(test.squareHash)`
      - the logits are `\(JSONValue.array(numbers(test.logits)).serialized)`
      - the probabilities are `\(JSONValue.array(numbers(test.probabilities)).serialized)`
      \(format == .npz ? "" : "\nThe same stands in the file's metadata as `thaw.test_vector`, the steps of 1 as `thaw.preprocessing`.\n")
      """
  }

  private func numbers(_ values: [Float]) -> [JSONValue] {
    values.map { .number(Double($0.description) ?? Double($0)) }
  }

  private var usage: String {
    guard let programs else { return "" }
    return """
      ## Programs

      `\(programs.python)` does all of it in Python (`pip install numpy pillow onnxruntime`):

          python \(ShellWord.quote(programs.python)) photo.jpg
          python \(ShellWord.quote(programs.python)) --test

      `\(programs.javaScript)` does it with onnxruntime-web; a page beside it, the model and that package's `dist` files:

      ```html
      <input type="file" id="photo"><pre id="answer"></pre>
      <script src="ort.min.js"></script>
      <script type="module">
        import { classify, pixelsOf } from \(address(programs.javaScript));
        const session = await ort.InferenceSession.create(\(address(name)));
        document.getElementById("photo").onchange = async (event) => {
          const answer = await classify(ort, session, await pixelsOf(event.target.files[0]));
          document.getElementById("answer").textContent = JSON.stringify(answer, null, 2);
        };
      </script>
      ```

      A browser decodes JPEGs at full size and resizes from there, where step 1.2 takes a fraction of large ones, and it blends colours of \
      transparent pixels less exactly: probabilities of such photos differ a little.

      """
  }

  private func address(_ file: String) -> String {
    let allowed = CharacterSet.urlPathAllowed.subtracting(CharacterSet(charactersIn: "/\"'<>&"))
    return "\"./\(file.addingPercentEncoding(withAllowedCharacters: allowed) ?? file)\""
  }

  private var limits: String {
    var lines = [
      "HEIC, AVIF and colours of inks by a profile come out within two levels of Thaw's, as libraries differ; a"
        + " JPEG that lacks its end is read by Thaw and refused by Pillow",
      "one look at each photo; averages over several (`--tta`, snapshots) are up to you",
    ]
    if model.record.unknown != nil {
      lines.append("no score for photos that are unlike the training's (`thaw predict --unknown`)")
    }
    if model.record.calibration != nil {
      lines.append("no sets of labels with a promise (`thaw predict --coverage`)")
    }
    switch model.graph.precision {
    case .float32: break
    case .bfloat16:
      lines.append(
        "Float32: the model's own numbers have 8 bits of precision (bfloat16), so that `thaw predict` differs"
          + " from this file by its rounding")
    case .int8:
      lines.append(
        "eight bits: a runtime that computes between QuantizeLinear and DequantizeLinear in another way moves"
          + " logits by a few steps, and probabilities by more than 1e-5")
    }
    return "## What is in this file and what is not\n\n" + lines.map { "- \($0)\n" }.joined()
  }
}

/// Text that comes from elsewhere, in Markdown.
enum Markdown {
  /// In code marks that it cannot end.
  static func code(_ text: String) -> String {
    let visible = VisibleText.escape(text)
    return visible.contains("`") ? "`` \(visible.replacing("``", with: "' '")) ``" : "`\(visible)`"
  }
}
