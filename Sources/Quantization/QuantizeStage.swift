// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawReference
package import ThawRuns
import ThawTensors

/// Bring a trained model to eight bits, measured on photos it was trained on and judged on others.
package struct QuantizeStage {
  /// What may be chosen.
  package struct Options: Sendable {
    /// Of accuracy that may be lost, in points (hundredths).
    package var atMostPoints = 0.5
    /// Training photos that ranges are measured on, at most.
    package var photos = 128
    /// Where the model goes; nil for beside the run's.
    package var output: FilePath?
    /// The defaults.
    package init() {}
  }

  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// The model of a run: measured on its training photos, judged on its validation photos.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training; ``PipelineError/data(_:)`` when
  ///   more accuracy is lost than allowed, and nothing is written then.
  package func quantize(_ run: OpenRun, options: Options) throws -> QuantizationResult {
    let classifier = try run.classifier()
    try checkForm(of: classifier, source: run.directory.model.displayed)
    let manifest = run.manifest
    let root = manifest.root.filePath
    func photos(_ records: [Manifest.Record]) throws -> [JudgedPhoto] {
      try records.map {
        try JudgedPhoto(
          path: $0.path.resolved(in: root), name: $0.path.description, className: $0.className,
          classifier)
      }
    }
    let judged = try photos(manifest.records(in: .valid))
    guard !judged.isEmpty else {
      throw PipelineError.data(
        "\(run.directory.path.displayed): has no validation photos to judge the result on. Prepare it with"
          + " --valid 0.2.")
    }
    let output =
      options.output
      ?? run.directory.model.removingLastComponent().appending(
        "model-int8.safetensors")
    let result = try quantize(
      classifier, source: run.directory.model, options,
      fitting: PhotoSet(
        photos: try photos(manifest.records(in: .train)), split: "train"
      ).first(options.photos),
      judging: PhotoSet(photos: judged, split: "valid"), to: output)
    return result
  }

  /// Any model on labelled photos: where they lie in split folders it is measured on `train` and judged on the
  /// others, else measured on one half and judged on the other.
  ///
  /// - Throws: as for a run.
  package func quantize(
    _ model: ModelReference, data: LabelledPhotos, options: Options
  ) throws -> QuantizationResult {
    guard let output = options.output else {
      throw PipelineError.usage("--model needs --output FILE: where the new model goes.")
    }
    let scan = try data.scanOfSingleLabels(context.console)
    let names = Set(scan.files.map(\.className)).sorted()
    let classifier = try model.labelled(by: names).load(context: context)
    try checkForm(of: classifier, source: model.text)
    let all = try scan.files.map { file in
      (
        file.split,
        try JudgedPhoto(
          path: file.path.resolved(in: data.folder), name: file.path.description,
          className: file.className, classifier)
      )
    }
    let sets = try halves(all, of: data.folder)
    return try quantize(
      classifier, source: model.path, options, fitting: sets.fitting.first(options.photos),
      judging: sets.judging, to: output)
  }

  private func halves(
    _ all: [(split: Split?, photo: JudgedPhoto)], of folder: FilePath
  ) throws -> (fitting: PhotoSet, judging: PhotoSet) {
    let training = all.filter { $0.split == .train }.map(\.photo)
    if all.contains(where: { $0.split != nil }) {
      let others = all.filter { $0.split == .valid }.map(\.photo)
      let judged = others.isEmpty ? all.filter { $0.split == .test }.map(\.photo) : others
      guard !training.isEmpty, !judged.isEmpty else {
        throw PipelineError.data(
          "\(folder.displayed): needs photos in train and in valid (or test): ranges are measured on the"
            + " former and the result is judged on the latter.")
      }
      return (
        PhotoSet(photos: training, split: "train"),
        PhotoSet(photos: judged, split: others.isEmpty ? "test" : "valid")
      )
    }
    let photos = all.map(\.photo)
    guard photos.count >= 4 else {
      throw PipelineError.data(
        "\(folder.displayed): \(counted(photos.count, "photo")) \(photos.count == 1 ? "is" : "are") too few; half of them are measured, half judged."
      )
    }
    context.console.say(
      "No split folders: every other photo is measured, and the rest judges. If the model was trained on"
        + " these photos, both accuracies are too good; their difference is what counts.")
    func every(_ parity: Int) -> [JudgedPhoto] {
      photos.indices.filter { $0 % 2 == parity }.map { photos[$0] }
    }
    return (
      PhotoSet(photos: every(0), split: "every other"),
      PhotoSet(photos: every(1), split: "the rest")
    )
  }

  private func checkForm(of classifier: Classifier, source: String) throws {
    guard classifier.model.graph.precision != .int8 else {
      throw PipelineError.data("\(source): is a model in eight bits already.")
    }
    guard !classifier.outputActivation.allowsSeveralLabels else {
      throw PipelineError.data(
        "\(source): gives several labels a photo; how much accuracy eight bits cost is measured for models of"
          + " one label alone. --precision bfloat16 in its training halves the work without a choice of ranges."
      )
    }
    try NetworkQuantizer.requireByteForm(classifier.model.graph)
  }

  private func quantize(
    _ classifier: Classifier, source: FilePath, _ options: Options, fitting: PhotoSet,
    judging: PhotoSet, to output: FilePath
  ) throws -> QuantizationResult {
    let model = classifier.model
    let measurement = try Measurement(classifier, fitting, context)
    let search = try PrecisionSearch(
      measurement, labels: measurement.labels, atMostPoints: options.atMostPoints, context)
    let quantized = try model.quantized(search.graph, search.parameters)
    let after = try Classifier(
      [quantized], source: output.displayed, compiler: context.compiler, threads: context.threads)
    let comparison = try Comparison(judging, before: classifier, after: after, context)
    var result = QuantizationResult(
      model: source.displayed, output: output.displayed, fitting: fitting, judging: judging,
      search: search, comparison: comparison, atMostPoints: options.atMostPoints)
    guard result.lostPoints <= options.atMostPoints else {
      throw PipelineError.data(result.refusal)
    }
    var record = quantized.record
    record.quantizationNotes = try result.summary()
    try context.checkInterruption()
    try ModelFile.write(output, record, quantized.parameters)
    result.bytesBefore = try? FileStatus(of: source).size
    result.bytesAfter = try FileStatus(of: output).size
    return result
  }
}

extension StoredModel {
  /// The same model with its network on bytes.
  fileprivate func quantized(_ graph: Graph, _ parameters: Parameters) throws -> StoredModel {
    var record = record
    record.precision = .int8
    record.quantization = graph.quantization
    if record.structure != nil {
      var plain = graph
      plain.precision = .float32
      plain.quantization = nil
      record.structure = try ONNXStructure.text(
        of: plain, parameters, preprocessing: preprocessing)
    }
    return StoredModel(
      graph: graph, parameters: parameters, preprocessing: preprocessing, record: record)
  }
}
