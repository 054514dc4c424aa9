// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawExecution
import ThawFiles
import ThawImages
import ThawNetwork
import ThawOneDNN

extension ContractTrial {
  /// What was found, in words and numbers.
  ///
  /// - Parameter squares: photos whose files are cut anew, to compare ways of resizing.
  package func diagnosis(_ squares: PhotoSquares) throws -> PreprocessingDiagnosis {
    let cure = try cure()
    return PreprocessingDiagnosis(
      verdict: verdict, status: judgement.status, recommendation: recommendation(cure),
      declared: candidates[0].name, declaredContract: classifier.preprocessing.description,
      ranking: ranking, geometries: try geometries(squares),
      evidence: usesBatchNorms ? .batchNorm : .head,
      certainty: judgement.certainty, photos: photos.count, notes: notes, cure: cure,
      gain: gain(cure))
  }

  private var best: Preprocessing.Candidate { candidates[judgement.best] }

  /// The distance in the ranking: divergence, or what the answers tell less than the best's.
  private func distance(_ index: Int) -> Double {
    if usesBatchNorms { return evidence[index].divergence ?? 0 }
    let most = evidence.compactMap { $0.head?.score }.max() ?? 0
    return most - (evidence[index].head?.score ?? most)
  }

  private var ranking: [PreprocessingDiagnosis.Rank] {
    let order = candidates.indices.sorted { (distance($0), $0) < (distance($1), $1) }
    return order.map { index in
      PreprocessingDiagnosis.Rank(
        name: candidates[index].name, divergence: min(distance(index), 1e12),
        isDeclared: index == 0, contract: candidates[index].preprocessing.description,
        layers: evidence[index].layers, head: evidence[index].head,
        accuracy: evidence[index].accuracy)
    }
  }

  private var verdict: String {
    let declared = "the declared contract (\(candidates[0].name))"
    switch judgement.status {
    case .consistent where judgement.best == 0:
      return "The preprocessing is right: \(declared) fits best."
    case .consistent:
      return "No sign of a wrong preprocessing: \(declared) fits as well as the best within what"
        + " these photos can tell."
    case .wrong:
      let differences = best.preprocessing.differences(from: classifier.preprocessing)
      return "The preprocessing is wrong: the network was trained on '\(best.name)', not on"
        + " \(declared)"
        + (differences.isEmpty ? "." : ": \(differences.joined(separator: "; ")).")
    case .undecided:
      return "Cannot tell whether the preprocessing is right: \(reason)"
    }
  }

  private var reason: String {
    switch judgement.doubt {
    case .fewPhotos:
      "\(counted(photos.count, "photo")) \(photos.count == 1 ? "is" : "are") too few for anything but errors of the range, and there is"
        + " none of those. Give at least \(ContractJudgement.fewestPhotos)."
    case .nearTie, nil:
      "'\(best.name)' fits a little better than the declared '\(candidates[0].name)', by less than"
        + " peculiar photos alone can bring about."
    case .contradiction:
      "the running statistics speak for '\(best.name)', but \(witness.name) is surer under the"
        + " declared '\(candidates[0].name)'. That is how photos unlike the training data look."
    case .nothingFits:
      "no known contract fits. Photos very unlike the training data, running statistics that were"
        + " damaged or never learned, and an unknown preprocessing all look like this."
    case .untrained where isUntouched:
      "its batch norms are those of new layers. The network was never trained, or they were not loaded;"
        + " it remembers nothing that the photos could be compared with."
    case .untrained:
      "the network's weights seem not to be trained: it has nothing to compare with."
    }
  }

  private func recommendation(_ cure: ContractCure?) -> String? {
    switch judgement.status {
    case .consistent: return nil
    case .undecided:
      return judgement.doubt == .untrained
        ? "Load trained weights first."
        : "Give more photos like those the network was trained on, or compare the accuracy under both"
          + " contracts on labelled ones."
    case .wrong:
      let contract = best.preprocessing.description
      if cure?.isHarmful ?? ownHeadPrefersDeclared {
        let card =
          classifier.record == nil ? "the card \(classifier.source)" : "the card of its backbone"
        return "Correct \(card) (\(contract)) and train the head again: thaw train."
      }
      guard classifier.record != nil else {
        return "Correct the preprocessing of the card \(classifier.source): \(contract)."
      }
      return "Correct the contract in the model file (\(contract)): --apply FILE writes it."
    }
  }

  /// What the better contract does for the network, as far as labelled photos tell; nil where there is
  /// none.
  private func gain(_ cure: ContractCure?) -> String? {
    guard judgement.status == .wrong else { return nil }
    let isHarmful = cure?.isHarmful ?? ownHeadPrefersDeclared
    let before =
      isHarmful
      ? "nothing as it stands: its head was trained on wrongly prepared photos and does worse on right"
        + " ones" : ""
    guard let cure else {
      return isHarmful
        ? "\(before)."
        : "how much cannot be said without labelled photos: name their folders as its classes."
    }
    let numbers =
      "\(Format.percent(cure.accuracy)) of the \(cure.photos) labelled photos instead of"
      + " \(Format.percent(cure.before))"
    if isHarmful { return "\(before), \(numbers)." }
    let range = "\(Format.percent(cure.interval[0])) to \(Format.percent(cure.interval[1]))"
    return "\(numbers) (\(range) of as many others, unless it was trained on these)"
      + (cure.isHelpful ? "." : "; that difference may be chance.")
  }

  private var notes: [String] {
    var notes: [String] = []
    let ties = candidates.indices.filter {
      $0 != judgement.best && distance($0) <= tieLimit
        && !candidates[$0].preprocessing.isInterchangeable(with: best.preprocessing)
    }
    if !ties.isEmpty {
      let names = ties.map { "'\(candidates[$0].name)'" }.joined(separator: ", ")
      notes.append("Nearly as good as '\(best.name)': \(names).")
    }
    if usesBatchNorms, let divergence = evidence[judgement.best].divergence, divergence > 0.06 {
      notes.append(
        "The photos are unlike the training data (divergence \(Format.significant(divergence, 2))"
          + " under the best contract; 0.01 to 0.04 is usual): errors of the range still stand out,"
          + " near misses do not.")
    }
    if isUntouched {
      notes.append(
        "thaw diagnose batchnorm says whether statistics are missing or nothing was trained.")
    }
    if judgement.status != .undecided {
      notes.append("Resize filter, crop and aspect ratio can hardly be told from the statistics.")
    }
    return notes
  }

  private var tieLimit: Double {
    let own = distance(judgement.best)
    return usesBatchNorms ? own * 1.2 : own + 0.1
  }

  /// The other ways of resizing under the best numbers.
  private func geometries(_ squares: PhotoSquares) throws -> [PreprocessingDiagnosis.Geometry] {
    guard usesBatchNorms else { return [] }
    let own = best.preprocessing
    let photos = Array(squares.photos.prefix(32))
    let probe = try NormalizationProbe(
      classifier.graph, parameters: classifier.parameters, layers: 4,
      compiler: context.compiler,
      size: Extent2D(own.inputSize))
    let variants: [(String, Preprocessing)] = [
      ("as declared", own),
      ("\(own.otherFilter.rawValue)", own.withGeometry(interpolation: own.otherFilter)),
      (own.cropFraction == 1 ? "crop 0.875" : "no crop", own.withOtherCrop),
      (
        own.resizeRule == .squash ? "aspect ratio kept" : "squashed",
        own.withGeometry(resizeRule: own.resizeRule == .squash ? .shorterSide : .squash)
      ),
    ]
    return try variants.map { name, contract in
      let cut = try PhotoSquares(photos, contract, context: context)
      let moments = try probe.moments(
        photos: cut.squares.count, elementsPerPhoto: contract.elementCount
      ) { cut.write($0, as: contract, into: $1) }
      let evidence = ContractEvidence(
        name: name, moments: moments, at: probe.layers, resamples: [])
      return PreprocessingDiagnosis.Geometry(name: name, divergence: evidence.divergence ?? 0)
    }.sorted { $0.divergence < $1.divergence }
  }

  /// Writes the model with the better contract; returns the file, nil when the verdict is not sure.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for a card's network, which has no model file.
  package func apply(_ diagnosis: PreprocessingDiagnosis, to output: FilePath) throws -> String? {
    guard diagnosis.status == .wrong else {
      context.console.warn("nothing is written: the contract was not found to be wrong.")
      return nil
    }
    guard var record = classifier.record else {
      throw PipelineError.usage(
        "--apply corrects model files. Correct the card \(classifier.source) by hand.")
    }
    record.preprocessing = best.preprocessing.json
    try ModelFile.write(output, record, classifier.model.parameters)
    return output.displayed
  }
}

extension Preprocessing {
  fileprivate var otherFilter: Interpolation { interpolation == .bilinear ? .bicubic : .bilinear }
  fileprivate var withOtherCrop: Preprocessing {
    withGeometry(cropFraction: cropFraction == 1 ? 0.875 : 1)
  }
}
