// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
package import ThawDiagnosis
import ThawExecution
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
import ThawTensors

/// Find out whether a network is fed what it was trained on.
package struct DiagnosePreprocessingStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// Compares the declared preprocessing with the usual ones, without labels.
  ///
  /// For a run the result is kept as `diagnosis_preprocessing.json`.
  ///
  /// - Parameters:
  ///   - photos: how many to look at, at most; drawn by `seed`.
  ///   - output: where to write the model with the better contract, when the verdict is sure.
  /// - Throws: ``PipelineError/data(_:)`` when no photo can be read; errors of the model.
  package func diagnose(
    _ subject: DiagnosisSubject, photos limit: Int, seed: UInt64, applyingTo output: FilePath? = nil
  ) throws -> PreprocessingDiagnosis {
    let subject = try subject.open(context: context)
    let diagnosis = try find(subject, limit, seed, output)
    try subject.keep(diagnosis, of: "preprocessing")
    return diagnosis
  }

  private func find(
    _ subject: OpenSubject, _ limit: Int, _ seed: UInt64, _ output: FilePath?
  ) throws -> PreprocessingDiagnosis {
    let classifier = try subject.classifier()
    let all = try subject.photos()
    var stream = RandomStream(seed: seed, purpose: .split)
    let chosen = stream.permutation(of: all.count).prefix(limit).sorted().map { all[$0] }
    let squares = try PhotoSquares(chosen, classifier.preprocessing, context: context)
    for line in squares.unusable.prefix(5) { context.console.warn(line) }
    guard !squares.squares.isEmpty else {
      throw PipelineError.data(
        "none of the \(counted(chosen.count, "photo")) could be read (see above).")
    }
    let trial = try ContractTrial(classifier, squares, seed: seed, context: context)
    var diagnosis = try trial.diagnosis(squares)
    if squares.unusable.count > 0 {
      diagnosis.notes.append("\(counted(squares.unusable.count, "photo")) could not be read.")
    }
    if let output {
      diagnosis.applied = try trial.apply(diagnosis, to: output)
    }
    return diagnosis
  }
}
