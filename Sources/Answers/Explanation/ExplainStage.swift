// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
import ThawTensors
import ThawTraining

/// Show where in photos a model found what speaks for a class.
package struct ExplainStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// How maps are made.
  package enum Method: String, Sendable, CaseIterable, Encodable {
    /// HiResCAM where the network has an image in front of its head, else occlusion.
    case auto
    case hirescam
    case gradcam
    case occlusion
    /// What reaches a transformer's head by its attention; the same for every class.
    case rollout
  }

  /// What is asked.
  package struct Options: Sendable {
    package var method = Method.auto
    /// The class that is explained; nil for the most probable one of each photo.
    package var className: String?
    /// Whether each map is compared with that of occlusion.
    package var checksByOcclusion = false
    package init() {}
  }

  /// A place, x to the right and y down.
  package struct Place: Encodable, Sendable {
    package let x: Double
    package let y: Double
  }

  /// One photo's map.
  package struct Explanation: Encodable, Sendable {
    /// As displayed.
    package let path: String
    /// The class whose evidence is shown.
    package let label: String
    /// Its probability, as thaw predict has it.
    package let probability: Float
    /// The overlay, as displayed.
    package let overlay: String
    /// Rows of the map, from the top: positive where something speaks for the class. It covers the square
    /// that the network sees.
    package let map: [[Float]]
    /// Where the heat is in the network's square, 0...1 from its left and upper edge; see ``HeatMap/peak``.
    package let peak: Place
    /// The same in pixels of the upright photo.
    package let peakInPhoto: Place
    /// The correlation with the map of occlusion; only when asked for, and nil when one is flat.
    package let occlusionCorrelation: Double?
  }

  /// What was written.
  package struct Explained: Encodable, Sendable {
    package let output: String
    /// Never `auto`.
    package let method: Method
    /// The layer whose channels are weighed; nil of occlusion.
    package let layer: String?
    /// Whether a map's values and the class's bias add up to its logit.
    package let exact: Bool
    package let sheet: String
    package let explanations: [Explanation]
    package let failures: [FoundPhotos.Failure]
  }

  /// Writes into `output` an overlay for each photo, `sheet.jpg` of all and `explanations.json`.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for a class that the model has not; ``PipelineError/data(_:)`` when
  ///   no photo can be used; errors of the model; `FileError`.
  package func explain(
    _ inputs: [FilePath], model: ModelReference, to output: FilePath, options: Options = Options()
  ) throws -> Explained {
    guard options.method != .rollout || options.className == nil else {
      throw PipelineError.usage(
        "attention rollout says where the network looked, which is the same for every class. Leave --class out, or"
          + " use --method occlusion.")
    }
    let stored = try model.read(context: context)
    let names = stored.record.classNames
    guard !names.isEmpty else {
      throw PipelineError.data(
        "\(model.text): these weights end with the features, they have no classifier to explain.")
    }
    let wanted = try options.className.map { name in
      guard let index = names.firstIndex(of: name) else {
        throw PipelineError.usage(
          "\(model.text) has no class '\(name)'. It has \(names.prefix(10).joined(separator: ", "))"
            + (names.count > 10 ? ", …." : "."))
      }
      return index
    }
    let mapper = try Mapper(stored, options, source: model.text, context: context)
    let found = try FoundPhotos(inputs, console: context.console)
    try FileSystem.createDirectory(output)
    let temperature = try ModelCalibration(of: stored.record, source: model.text)?.temperature
    var (explanations, failures) = ([Explanation](), found.failures)
    var rows: [[RGBImage]] = []
    let progress = context.console.progress("Explaining", total: found.paths.count)
    for (index, path) in found.paths.enumerated() {
      try context.checkInterruption()
      do {
        let photo = try SeenPhoto(path, stored.preprocessing)
        let map = try mapper.map(photo.pixels, wanted: wanted)
        let digits = String(index + 1)
        let number = String(repeating: "0", count: max(4 - digits.count, 0)) + digits
        let name = "\(number)-\(path.stem ?? "photo").png"
        let overlay = map.heat.overlay(on: photo.square)
        try AtomicFile.write(output.appending(name), bytes: try PNGEncoder.encode(overlay))
        if rows.count < 100 { rows.append([photo.square, overlay]) }
        let peak = map.heat.peak
        let inPhoto = photo.place(peak)
        let logits = Tensor(map.logits, shape: [1, map.logits.count])
        let probabilities =
          stored.record.outputActivation.allowsSeveralLabels
          ? Probabilities.sigmoid(logits)
          : temperature?.probabilities(ofLogits: logits) ?? Probabilities.softmax(logits)
        explanations.append(
          Explanation(
            path: path.exact, label: names[map.index], probability: probabilities[map.index],
            overlay: output.appending(name).exact, map: map.rows,
            peak: Place(x: peak.x, y: peak.y), peakInPhoto: Place(x: inPhoto.x, y: inPhoto.y),
            occlusionCorrelation: map.occlusionCorrelation))
      } catch let error as PipelineError { throw error } catch {
        failures.append(
          FoundPhotos.Failure(path: path.displayed, reason: Classifier.reason(error)))
      }
      progress.advance()
    }
    progress.finish()
    guard !explanations.isEmpty else {
      throw PipelineError.data("none of the photos can be used: \(failures[0].reason)")
    }
    let sheet = output.appending("sheet.jpg")
    // Three photos in a row.
    let wide = stride(from: 0, to: rows.count, by: 3).map {
      rows[$0..<min($0 + 3, rows.count)].flatMap { $0 }
    }
    try PhotoSheet(stored.preprocessing, side: 192).write(pictures: wide, to: sheet)
    let result = Explained(
      output: output.displayed, method: mapper.method, layer: mapper.layer,
      exact: mapper.isExact, sheet: sheet.displayed, explanations: explanations,
      failures: failures)
    try AtomicFile.write(
      output.appending("explanations.json"), text: try JSONText.of(result) + "\n")
    return result
  }
}

/// Makes maps by one method, and by occlusion besides where that is to check them.
private struct Mapper {
  let method: ExplainStage.Method
  private let evidence: ClassEvidence?
  private let rollout: AttentionRollout?
  private let occlusion: OcclusionMap?
  private let whole: Classifier?
  var layer: String? { evidence?.layer.description }
  /// Whether values and bias add up to the logit; slopes that were averaged over positions first need not.
  var isExact: Bool { method == .hirescam && evidence?.isExact ?? false }

  struct Mapped {
    let heat: HeatMap
    let rows: [[Float]]
    let logits: [Float]
    let index: Int
    let occlusionCorrelation: Double?
  }

  init(
    _ model: StoredModel, _ options: ExplainStage.Options, source: String, context: StageContext
  ) throws {
    var evidence: ClassEvidence?
    var rollout: AttentionRollout?
    switch options.method {
    case .occlusion: break
    case .rollout: rollout = try AttentionRollout(model, source: source)
    case .hirescam, .gradcam:
      evidence = try ClassEvidence(model, source: source, context: context)
    case .auto:
      do { evidence = try ClassEvidence(model, source: source, context: context) } catch {
        context.console.warn("\(error)")
      }
    }
    self.evidence = evidence
    self.rollout = rollout
    let isOcclusion = evidence == nil && rollout == nil
    method =
      isOcclusion
      ? .occlusion : rollout != nil ? .rollout : options.method == .gradcam ? .gradcam : .hirescam
    occlusion =
      isOcclusion || options.checksByOcclusion
      ? try OcclusionMap(model, context: context) : nil
    whole =
      isOcclusion
      ? try Classifier(
        [model], source: source, compiler: context.compiler, threads: context.threads) : nil
  }

  func map(_ pixels: AlignedStorage<Float>, wanted: Int?) throws -> Mapped {
    let input = UnsafeBufferPointer(pixels.elements)
    func chosen(_ logits: [Float]) -> Int {
      wanted ?? logits.indices.max { logits[$0] < logits[$1] } ?? 0
    }
    let formula = method == .gradcam ? ClassEvidence.Formula.gradCAM : .hiResCAM
    let found =
      try rollout.map { try $0.map(input) }
      ?? evidence.map { try $0.map(input, index: chosen, formula: formula) }
    let logits = try found?.logits ?? whole?.logits(input).elements ?? []
    let index = chosen(logits)
    let losses = try occlusion?.map(input, index: index)
    if let found {
      let (height, width) = (
        rollout?.height ?? evidence?.height ?? 1, rollout?.width ?? evidence?.width ?? 1
      )
      let heat = HeatMap(found.values, height: height, width: width)
      let check = losses.flatMap { losses in
        occlusion.map {
          let side = Int(Double($0.spread(losses).count).squareRoot())
          return HeatMap($0.spread(losses), height: side, width: side)
        }
      }
      return Mapped(
        heat: heat, rows: rows(found.values, width), logits: logits, index: index,
        occlusionCorrelation: check.flatMap { heat.correlation(with: $0) })
    }
    let values = losses ?? [0]
    let side = occlusion?.side ?? 1
    let spread = occlusion?.spread(values) ?? [0]
    let wide = Int(Double(spread.count).squareRoot())
    return Mapped(
      heat: HeatMap(spread, height: wide, width: wide), rows: rows(values, side), logits: logits,
      index: index, occlusionCorrelation: nil)
  }

  private func rows(_ values: [Float], _ width: Int) -> [[Float]] {
    stride(from: 0, to: values.count, by: width).map { Array(values[$0..<($0 + width)]) }
  }
}
