// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawBackbones
import ThawDatasets
import ThawDiagnosis
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawReports
import ThawTestSupport
import ThawTraining

/// Results of a run that never was, for pages.
enum SampleReport {
  /// Markup, a mark that turns text round, a line end and great length.
  static let hostile =
    "</title></style><script>alert(1)</script><img src=x onerror=\"alert('1')\">\u{202E}\n"
    + String(repeating: "n", count: 180)

  /// Begins like a PNG.
  static let picture: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 1]

  /// A report with every section, each text hostile.
  static func full() throws -> ReportContent {
    let h = hostile
    var content = ReportContent(title: h)
    content.manifest = try manifest([h, "bee"])
    content.network = try network()
    content.history = (0..<4).map { epoch in
      EpochRecord(
        epoch: epoch, trainLoss: [2, 1, 0.7, 0.5][epoch], trainAccuracy: 0.5 + 0.1 * Double(epoch),
        validLoss: [2, 1.2, 0.8, 0.9][epoch], validAccuracy: 0.5, learningRates: [0.01],
        seconds: 1)
    }
    content.search = try search()
    let evaluation = try evaluation([h, "bee"], [[20, 3], [1, 30]], split: h)
    content.evaluation = evaluation
    content.looks = [.init(name: h, evaluation: evaluation)]
    content.date = 1_795_645_144
    content.comparison = .init(
      head: try Self.evaluation([h, "bee"], [[15, 8], [2, 29]], split: h), tuned: evaluation,
      gained: 7, lost: 1)
    content.mistakes = [
      .init(path: h, predicted: h, truth: h, probability: 0.99, second: (h, 0.01)),
      .init(path: "b", predicted: "bee", truth: h, probability: 0.7),
    ]
    content.unsure = [
      .init(path: "c", predicted: "bee", truth: "bee", probability: 0.52, second: (h, 0.48))
    ]
    content.sure = [.init(path: h, predicted: h, truth: h, probability: 0.999)]
    content.thumbnails = [h: Self.picture, "b": Array(h.utf8)]
    content.evidence = [h: Self.picture, "b": Array(h.utf8)]
    content.augmented = [
      .init(path: h, truth: h, plain: Self.picture, draws: [Self.picture, Array(h.utf8)])
    ]
    content.usage = .init(model: Array("\(h)/model.safetensors".utf8))
    content.batchNorm = batchNorm()
    content.preprocessing = PreprocessingDiagnosis(
      verdict: h, status: .wrong, recommendation: h, declared: h, declaredContract: h,
      ranking: [.init(name: h, divergence: 0.5, isDeclared: true, contract: h)],
      evidence: .batchNorm, certainty: 1, photos: 9, notes: [h])
    content.shortcuts = shortcuts()
    content.map = PhotoMap(
      key: "",
      points: [(hostile, 0.0, 1.0), ("b", 0.25, 0.5), ("b", 1, 0)].map {
        PhotoMap.Point(path: "\(hostile)/1.jpg", label: $0.0, split: "train", x: $0.1, y: $0.2)
      }, count: 1_000, sheet: Data(picture), columns: 2)
    content.fit = try fit()
    content.reproduction = .init(command: h, caveat: h, facts: [(h, h)])
    return content
  }

  /// Two photos of each class in training and one in test, a bad file and a leak.
  static func manifest(
    _ classes: [String], records: Bool = true, notes: [[String: Any]] = []
  ) throws -> Manifest {
    let photos = records ? classes.flatMap { name in (0..<3).map { (name, $0) } } : []
    return try decoded([
      "version": 1, "root": hostile, "layout": "classes", "classes": classes, "seed": 1,
      "notes": notes,
      "records": photos.map { name, number in
        [
          "path": "\(name)/\(number).jpg", "class": name, "split": number < 2 ? "train" : "test",
          "sha256": "0", "size": 1, "modified": 1, "width": 1, "height": 1, "format": "jpeg",
          "warnings": [hostile],
        ] as [String: Any]
      },
      "bad": [["path": hostile, "reason": hostile]],
      "duplicates": [
        [
          "sha256": "0", "kinds": ["acrossSplits", "acrossClasses"],
          "paths": [String](repeating: hostile, count: 12),
        ]
      ],
    ])
  }

  /// An evaluation with these counts.
  static func evaluation(
    _ classes: [String], _ counts: [[Int]], split: String = "test"
  ) throws -> Evaluation {
    let matrix = ConfusionMatrix(classNames: classes, counts: counts)
    return try decoded([
      "split": split, "count": matrix.total, "accuracy": matrix.accuracy ?? 0, "loss": 0.2,
      "macro_f1": matrix.macroF1 ?? 0, "auc": NSNull(), "confusion": counts,
      "per_class": matrix.classMetrics.map {
        [
          "name": $0.name, "count": $0.count, "precision": $0.precision ?? 0,
          "recall": $0.recall ?? 0, "f1": $0.f1 ?? 0,
        ] as [String: Any]
      },
    ])
  }

  /// A frozen group and a head that trains.
  ///
  /// - Parameters:
  ///   - interpolation: where the kept weights lie; nil for a head alone.
  ///   - trainsAll: whether the first group trains too, with its batch norm.
  static func network(
    interpolation: Double? = 0, trainsAll: Bool = false,
    _ change: (inout Recipe) -> Void = { _ in }
  ) throws -> ReportedNetwork {
    var builder = GraphBuilder(name: "small", inputChannels: 3)
    builder.beginGroup(hostile)
    builder.add("bn", .batchNormalization(BatchNormalization(channels: 3)))
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 3, outputs: 2)))
    let graph = builder.build()
    var recipe = Recipe()
    recipe.train.epochs = 9
    change(&recipe)
    let freezing = FreezePlan.freezing(
      to: trainsAll ? 0 : -1, of: graph, trainableBatchNorm: .training)
    let card = try Self.card()
    return ReportedNetwork(
      card: card, preprocessing: card.preprocessing, graph: graph,
      freezing: freezing, recipe: recipe,
      record: TrainingRecord(
        key: "", recipe: "", backbone: "", weightsHash: "", photos: [:], head: Recipe().head,
        isHeadAlone: interpolation == nil,
        outcome: TrainingOutcome(
          epochs: 4, bestValidAccuracy: nil, bestValidLoss: nil, trainableParameters: 4_652_008,
          cached: true, interpolation: interpolation)),
      schedule: try recipe.train.schedule(ofHead: graph, size: card.preprocessing.inputSize))
  }

  private static func card() throws -> BackboneCard {
    let directory = try TemporaryDirectory()
    let file = directory.path.appending("resnet18.yml")
    let quoted = String(decoding: try JSONEncoder().encode(hostile), as: UTF8.self)
      .replacing("\\/", with: "/")
    try AtomicFile.write(
      file,
      text: """
        name: resnet18
        summary: \(quoted)
        architecture: resnet18
        naming: native
        file: resnet18.pth
        sha256_prefix: f37072fd
        license: \(quoted)
        classes: none
        source:
          package: timm
          version: 1.0.0
          member: resnet18.pth
        batch_norm:
          epsilon: 0.00001
          momentum: 0.1
        groups: [early, layer3, layer4, head]
        preprocessing:
          family: torch
          size: 224
          interpolation: bilinear
          crop: 0.875

        """)
    return try BackboneCard(file: file)
  }

  private static func search() throws -> LearningRateSearch {
    try decoded([
      "learning_rates": [1e-4, 1e-3, 1e-2], "losses": [2, 1, 50], "stop_reason": "diverged",
      "smoothed_losses": [2, 1.4, 30], "suggestions": ["valley": 1e-3],
    ])
  }

  private static func batchNorm() -> BatchNormDiagnosis {
    let (h, phase) = (hostile, BatchNormDiagnosis.Phase(accuracy: 0.9, loss: 0.3, auc: nil))
    let layers = (0..<3).map { index in
      BatchNormDiagnosis.Layer(
        path: h, group: h, frozen: index == 0, meanShift: 1, varianceRatio: 2, divergence: 0.1,
        divergenceOfWorstTenth: 0.4, divergenceInInference: 0.2, lossAlone: 0.3, lossUpTo: 0.4,
        suspect: index == 1)
    }
    return BatchNormDiagnosis(
      kind: .batchStatistics, verdict: h, recommendation: h, evidence: [h], signature: h,
      inference: phase, training: phase, gap: 0, batch: 16,
      batchSizes: [.init(batch: 16, phase: phase, gap: 0)], photos: 9, split: h,
      heldOutPhotos: 3, heldOut: phase, layers: layers, groups: [], suspects: [h],
      lossBeforeSwitching: 0.5, decisiveLayer: h, decisiveGroup: h, boundary: h, inputs: [],
      fixes: [
        .init(
          name: h, what: h, accuracy: 1, loss: 0.1, accuracyOnFixing: 1, seconds: 2,
          sufficient: true)
      ], recommendedFix: h, renamedClasses: [:])
  }

  private static func shortcuts() -> ShortcutDiagnosis {
    let share = ErrorAnalysis.Share(9, of: 10)
    let looks = [hostile, "plain"].map { name in
      ShortcutDiagnosis.ClassLook(
        name: name, count: 10, borderHeat: .init([0.4, 0.6]), cornerHeat: nil, unusualHeat: nil,
        hottest: ("lower edge", 0.5), excess: nil, recall: share, recallCentreHidden: share,
        recallBorderHidden: .init(1, of: 10),
        // The first goes by its border.
        centreDecides: name == hostile ? .init(0, of: 10) : share,
        borderDecides: name == hostile ? share : .init(0, of: 10))
    }
    return ShortcutDiagnosis(
      split: "valid", key: nil, accuracy: share, centreHidden: share, borderHidden: share,
      greyAnswer: hostile, classes: looks, notes: [hostile])
  }

  private static func fit() throws -> FitFindings {
    let rate = ErrorRate(error: 0.1, count: 50)
    let suspect: FitFindings.Photo = try decoded([
      "path": hostile, "label": hostile, "suggestion": hostile, "loss": 3, "score": 0.9,
      "neighbourShare": 0, "isSuspicious": true,
    ])
    var found = FitFindings(
      parts: BiasVariance(
        humanError: 0, training: rate, crossValidated: rate, validation: rate),
      humanError: 0, heldOut: "valid", splits: nil, overfitTest: nil, labels: [suspect],
      suspiciousCount: 1, hints: [])
    found.verdict = hostile
    found.next = [hostile]
    return found
  }

  private static func decoded<Value: Decodable>(_ object: [String: Any]) throws -> Value {
    try JSONDecoder().decode(
      Value.self, from: try JSONSerialization.data(withJSONObject: object))
  }
}
