// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// How strongly the weights are pulled towards zero.
package enum Regularization: Sendable, Equatable, Codable {
  /// scikit-learn's C, above 0: the inverse of the strength.
  case inverseStrength(Double)
  /// The C with the lowest held-out loss in a small cross-validation within the training samples.
  case automatic
}

/// Multinomial logistic regression with an L2 penalty, solved exactly: the deterministic baseline
/// of a head, in seconds.
///
/// Where samples may have several labels it is one regression of two classes for each, all with one C:
/// scikit-learn's `OneVsRestClassifier(LogisticRegression())`, each on the samples whose label is known.
///
/// Minimises  sum_i s[i] * loss[i] + |W|^2 / (2 C)  over W and b; the bias is not penalised. With two
/// classes the penalty is that of a single weight vector (W[1] - W[0]), as in scikit-learn.
///
/// - Source: scikit-learn `LogisticRegression(solver="lbfgs")`.
package struct LogisticRegression: Sendable, Equatable, Codable {
  /// The penalty.
  package var regularization: Regularization
  /// Whether features are brought to mean 0 and deviation 1 first. The result is expressed in the
  /// original features all the same.
  package var standardizes: Bool
  /// One weight a class, or where samples may have several labels how much more each label counts than
  /// its absence; empty for 1.
  package var classWeights: [Float]
  /// Iterations of the solver, at most.
  package var maximumIterations: Int
  /// Ends when no element of the gradient of the mean loss is larger.
  package var tolerance: Double
  /// Parts of the automatic cross-validation, at least 2.
  package var folds: Int
  /// Keys the assignment of samples to folds.
  package var seed: UInt64

  /// A solver; see ``problem`` for what the numbers must be.
  package init(
    regularization: Regularization = .automatic, standardizes: Bool = true,
    classWeights: [Float] = [], maximumIterations: Int = 500, tolerance: Double = 1e-5,
    folds: Int = 5, seed: UInt64 = 0
  ) {
    self.regularization = regularization
    self.standardizes = standardizes
    self.classWeights = classWeights
    self.maximumIterations = maximumIterations
    self.tolerance = tolerance
    self.folds = folds
    self.seed = seed
  }

  /// What is wrong with the numbers, as a sentence; nil when nothing is.
  package var problem: String? {
    if case .inverseStrength(let c) = regularization, !(c > 0 && c.isFinite) {
      return "C must be above 0, got \(c)."
    }
    if let weight = classWeights.first(where: { !($0 >= 0 && $0.isFinite) }) {
      return "class weights must be finite and at least 0, got \(weight)."
    }
    if maximumIterations < 1 { return "the solver needs at least 1 iteration." }
    if !(tolerance > 0) { return "the tolerance must be above 0, got \(tolerance)." }
    return folds < 2 ? "cross-validation needs at least 2 folds, got \(folds)." : nil
  }

  /// Fits all samples of `source`.
  ///
  /// - Parameters:
  ///   - sampleWeights: how much each sample counts beside its class's weight, above 0; empty for 1. Only
  ///     where each has one label.
  ///   - onSolve: called after every solution, those of the folds too; what it throws ends the work.
  /// - Throws: ``TrainingError/noSamples(split:)``, ``TrainingError/emptyClass(_:)`` when one of the
  ///   classes has no sample (its bias would run away), ``TrainingError/nonFinite(what:sample:)``.
  package func fit(
    _ source: any FeatureSource, classes: Int, sampleWeights: [Double] = [],
    onSolve: () throws -> Void = {}
  ) throws -> LogisticModel {
    precondition(problem == nil, problem ?? "")
    precondition(
      sampleWeights.isEmpty
        || sampleWeights.count == source.count && source.targetRows == nil,
      "\(sampleWeights.count) weights do not fit \(source.count) samples of one label.")
    if let targets = source.targetRows {
      return try fit(source, targets, classes: classes, onSolve: onSolve)
    }
    precondition(classes >= 2, "Classification needs at least 2 classes, got \(classes).")
    precondition(
      classWeights.isEmpty || classWeights.count == classes,
      "\(classWeights.count) class weights do not fit \(classes) classes.")
    guard source.count > 0 else { throw TrainingError.noSamples(split: "train") }
    let labels = (0..<source.count).map { source.label($0) }
    let balance = ClassBalance(labels: labels, classes: classes)
    if let empty = balance.counts.firstIndex(of: 0) { throw TrainingError.emptyClass(empty) }
    let features = try readFeatures(source)
    let scaling = FeatureScaling(
      features.elements, inputs: source.stride, isIdentity: !standardizes)
    scaling.apply(to: features.elements)
    let objective = LogisticObjective(
      features: features, labels: labels, inputs: source.stride, classes: classes)
    let base = labels.indices.map { sample in
      (classWeights.isEmpty ? 1 : Double(classWeights[labels[sample]]))
        * (sampleWeights.isEmpty ? 1 : sampleWeights[sample])
    }
    return try solve(
      objective, base: base, strata: labels, scaling: scaling, classes: classes, onSolve: onSolve)
  }

  private func fit(
    _ source: any FeatureSource, _ targets: TargetRows, classes: Int, onSolve: () throws -> Void
  ) throws -> LogisticModel {
    precondition(
      targets.classes == classes && (classWeights.isEmpty || classWeights.count == classes),
      "\(targets.classes) targets and \(classWeights.count) weights do not fit \(classes) classes.")
    guard source.count > 0 else { throw TrainingError.noSamples(split: "train") }
    let features = try readFeatures(source)
    let scaling = FeatureScaling(
      features.elements, inputs: source.stride, isIdentity: !standardizes)
    scaling.apply(to: features.elements)
    let objective = LogisticObjective(
      features: features, targets: targets, positiveWeights: classWeights, inputs: source.stride)
    return try solve(
      objective, base: [Double](repeating: 1, count: source.count), strata: strata(of: targets),
      scaling: scaling, classes: classes, onSolve: onSolve)
  }

  /// The rarest class of each sample, so that the parts of a cross-validation have some of each; the
  /// number of classes for a sample without any.
  private func strata(of targets: TargetRows) -> [Int] {
    let counts = targets.positives
    return (0..<targets.count).map { row in
      let own = (0..<targets.classes).filter { targets.label(row, $0) == true }
      return own.min { (counts[$0], $0) < (counts[$1], $1) } ?? targets.classes
    }
  }

  private func solve(
    _ objective: LogisticObjective, base: [Double], strata: [Int], scaling: FeatureScaling,
    classes: Int, onSolve: () throws -> Void
  ) throws -> LogisticModel {
    let (strength, trials) = try chooseStrength(
      objective, base: base, strata: strata, onSolve: onSolve)
    let start = [Double](repeating: 0, count: objective.dimension)
    let solution = solve(
      objective, weights: base, inverseStrength: strength, from: start, tolerance: tolerance)
    try onSolve()
    return LogisticModel(
      solution, scaling: scaling, classes: classes, inverseStrength: strength, trials: trials)
  }

  /// Minimises the objective for one C and one set of sample weights.
  func solve(
    _ objective: LogisticObjective, weights: [Double], inverseStrength: Double,
    from start: [Double], tolerance: Double
  ) -> LimitedMemoryBFGS.Solution {
    objective.sampleWeights = weights
    // Two rows at plus and minus half a vector have half its squared length: twice the penalty
    // makes two classes equal to a single weight vector.
    let factor = objective.classes == 2 && !objective.isSeveral ? 2.0 : 1.0
    objective.penalty = factor / (inverseStrength * weights.reduce(0, +))
    let solver = LimitedMemoryBFGS(maximumIterations: maximumIterations, tolerance: tolerance)
    return solver.minimize(from: start) { objective($0, &$1) }
  }

  private func readFeatures(_ source: any FeatureSource) throws -> AlignedStorage<Float> {
    let features = AlignedStorage<Float>(count: source.count * source.stride)
    try source.copyFeatures(
      of: Array(0..<source.count)[...], view: .clean, into: features.elements)
    if let bad = features.elements.firstIndex(where: { !$0.isFinite }) {
      throw TrainingError.nonFinite(what: "the features", sample: bad / source.stride)
    }
    return features
  }
}

/// One C that was tried.
package struct RegularizationTrial: Sendable, Equatable, Codable {
  /// C.
  package let inverseStrength: Double
  /// Mean held-out loss over all folds.
  package let loss: Double
}

/// A dense layer found by ``LogisticRegression``, in terms of the original features.
package struct LogisticModel: Sendable, Equatable {
  /// [classes, inputs], as the `weight` of a dense layer.
  package let weight: Tensor<Float>
  /// [classes], its `bias`.
  package let bias: Tensor<Float>
  /// The C used.
  package let inverseStrength: Double
  /// What the cross-validation tried; empty when C was given.
  package let trials: [RegularizationTrial]
  /// Iterations of the final fit.
  package let iterations: Int
  /// The largest element of the gradient of the mean loss at the end.
  package let gradientMaximum: Double
  /// Whether the gradient fell below the tolerance.
  package let isConverged: Bool
  /// Why these are not the weights of the minimum, how far from it they are and what to do, as
  /// sentences; nil when the solver converged.
  package let complaint: String?
  /// Mean training loss plus penalty.
  package let objective: Double

  init(
    _ solution: LimitedMemoryBFGS.Solution, scaling: FeatureScaling, classes: Int,
    inverseStrength: Double, trials: [RegularizationTrial]
  ) {
    let (weight, bias) = scaling.fold(solution.point, classes: classes)
    self.weight = weight
    self.bias = bias
    self.inverseStrength = inverseStrength
    self.trials = trials
    iterations = solution.iterations
    gradientMaximum = solution.gradientMaximum
    isConverged = solution.isConverged
    complaint = solution.complaint(inverseStrength: inverseStrength)
    objective = solution.value
  }
}
