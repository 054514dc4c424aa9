// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Synchronization
import SystemPackage
import Testing
import Thaw
import ThawBackbones
import ThawConsole
import ThawFiles
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTestSupport
import ThawTinyBackbone

/// Training as a call.
struct ImageTrainingTests {
  private let directory: TemporaryDirectory
  private var photos: FilePath { directory.path.appending("photos") }
  private func run(_ name: String) -> FilePath { directory.path.pushing(FilePath(name)) }

  init() throws {
    directory = try TemporaryDirectory()
    try TinyPhotos.write(to: photos)
  }

  private static var fineTuning: ImageTraining.Options {
    var options = TinyModel.options
    (options.headEpochs, options.fineTunes, options.fineTuningEpochs) = (3, true, 4)
    return options
  }

  /// A table by its path from here, several labels a photo, some without any.
  @Test func aTableOfSeveralLabelsGivesAModelThatAnswersWithAList() async throws {
    let rows = (0..<12).flatMap { number in
      [
        "blue/\(number).jpg,\(number == 0 ? "" : number % 2 == 0 ? "blue|even" : "blue")",
        "red/\(number).jpg,\(number % 2 == 0 ? "even" : "")",
      ]
    }
    let table = directory.path.appending("labels.csv")
    try AtomicFile.write(table, text: "path,labels\n" + rows.joined(separator: "\n") + "\n")
    var options = TinyModel.options
    options.labels = table
    options.severalLabels = true
    let outcome = try await ImageTraining.start(
      photos: photos, run: run("several"), options: options
    ).outcome
    #expect(outcome.classNames == ["blue", "even"])
    #expect(outcome.meanAveragePrecision.map { $0 > 0 && $0 <= 1 } == true)
    let classifier = try ImageClassifier(contentsOf: outcome.model)
    let answer = try await classifier.classify(
      contentsOf: photos.appending("blue").appending("1.jpg"))
    #expect(answer.allowsSeveralLabels && answer.labels.count == answer.labelIndices.count)
    #expect(try await TinyModel.shared.outcome.meanAveragePrecision == nil)
  }

  @Test func aTrainingReportsItsStagesAndWhatItCameTo() async throws {
    let training = try ImageTraining.start(
      photos: photos, run: run("a"), options: Self.fineTuning)
    var stages: [ImageTraining.Stage] = []
    var epochs: [ImageTraining.Stage: [Int]] = [:]
    var found: [String] = []
    var labels: Set<String> = []
    for await event in training.events {
      switch event {
      case .began(let stage): stages.append(stage)
      case .prepared(let count, let names):
        #expect(count == 24)
        found = names
      case .epoch(let epoch): epochs[epoch.stage, default: []].append(epoch.number)
      case .progress(let progress): labels.insert(progress.label)
      case .note, .warning: break
      }
    }
    let outcome = try await training.outcome
    #expect(stages == ImageTraining.Stage.allCases)
    #expect(epochs == [.train: [1, 2, 3], .fineTune: [1, 2, 3, 4]])
    #expect(found == ["blue", "red"] && outcome.classNames == found)
    #expect(labels.isSuperset(of: ["Checking photos", "Training the head", "Fine-tuning"]))
    guard case .groups(let groups) = outcome.trained else {
      Issue.record("\(outcome.trained)")
      return
    }
    #expect(groups.count > 1)
    #expect(outcome.split == "valid" && outcome.photos > 0)
    #expect(outcome.accuracyInterval.contains(outcome.accuracy))
    #expect(outcome.accuracyInterval.upperBound - outcome.accuracyInterval.lowerBound > 0.1)
    #expect(FileSystem.exists(outcome.model) && FileSystem.exists(outcome.report))
    let classifier = try ImageClassifier(contentsOf: outcome.model)
    #expect(classifier.classNames == found && classifier.inputSize == 32)
  }

  @Test func theModelIsTheOneThatTheCommandMakes() async throws {
    let outcome = try await ImageTraining.start(
      photos: photos, run: run("library/run"), options: TinyModel.options
    ).outcome
    #expect(outcome.trained == .head && outcome.trainableParameters == 2 * 1281)
    var recipe = Recipe()
    recipe.name = "run"
    (recipe.backbone, recipe.fineTune.enabled) = (TinyBackbone.name, false)
    recipe.train.epochs = 20
    let context = StageContext(
      console: Console(isQuiet: true), threads: 2,
      pretrained: PretrainedStore(directory: TinyBackbone.directory))
    let summary = try FitStage(RunDirectory(run("command/run")), context: context).fit(
      photos, recipe: recipe)
    #expect(summary.evaluate.accuracy == outcome.accuracy)
    #expect(
      try FileSystem.read(FilePath(summary.model)) == FileSystem.read(outcome.model))
  }

  @Test func aCancelledTrainingContinuesToTheSameBits() async throws {
    var options = Self.fineTuning
    options.fineTuningEpochs = 60
    let whole = try await ImageTraining.start(
      photos: photos, run: run("whole/run"), options: options
    ).outcome
    // The second epoch ends when the cancellation has arrived, however late this task is served.
    let cancelled = DispatchSemaphore(value: 0)
    let training = try ImageTraining.start(
      photos: photos, run: run("cut/run"), options: options,
      observer: {
        if case .epoch(let epoch) = $0, epoch.stage == .fineTune, epoch.number == 2 {
          cancelled.wait()
        }
      })
    // Cancelling who waits for the outcome cancels the training.
    let waiting = Task { try await training.outcome }
    var epochs = 0
    for await event in training.events {
      if case .epoch(let epoch) = event, epoch.stage == .fineTune {
        epochs = epoch.number
        guard epoch.number == 2 else { continue }
        waiting.cancel()
        while !training.isCancelled { await Task.yield() }
        cancelled.signal()
      }
    }
    await #expect(throws: CancellationError.self) { try await waiting.value }
    await #expect(throws: CancellationError.self) { try await training.outcome }
    #expect(epochs == 2)
    let second = try ImageTraining.start(photos: photos, run: run("cut/run"), options: options)
    var first = 60
    for await event in second.events {
      if case .epoch(let epoch) = event, epoch.stage == .fineTune {
        first = min(first, epoch.number)
      }
    }
    #expect(first > 1, "It must go on, not begin anew.")
    let continued = try await second.outcome
    #expect(try FileSystem.read(whole.model) == FileSystem.read(continued.model))
  }

  @Test func oneCancelledTrainingLeavesTheOtherAlone() async throws {
    let first = try ImageTraining.start(
      photos: photos, run: run("first"), options: Self.fineTuning)
    let second = try ImageTraining.start(
      photos: photos, run: run("second"), options: TinyModel.options)
    let third = try ImageTraining.start(
      photos: photos, run: run("third"), options: TinyModel.options)
    third.cancel()
    first.cancel()
    await #expect(throws: CancellationError.self) { try await first.outcome }
    await #expect(throws: CancellationError.self) { try await third.outcome }
    #expect(try await second.outcome.photos > 0)
    #expect(!Interruption.isRequested)
  }

  @Test func errorsSayWhatKindTheyAre() async throws {
    func kind(_ photos: FilePath, _ change: (inout ImageTraining.Options) -> Void) async throws
      -> ImageTrainingError.Kind?
    {
      var options = TinyModel.options
      change(&options)
      let training = try ImageTraining.start(photos: photos, run: run("bad"), options: options)
      do {
        _ = try await training.outcome
        return nil
      } catch let error as ImageTrainingError { return error.kind }
    }
    #expect(try await kind(photos.appending("nowhere")) { _ in } == .data)
    #expect(try await kind(photos) { $0.backbone = "no-such-card" } == .data)
    #expect(try await kind(photos) { $0.threads = 0 } == .options)
    #expect(try await kind(photos) { $0.validShare = 7 } != nil)
    #expect(try await kind(photos) { $0.recipe = "/nowhere.yml" } == .inputOutput)
  }

  @Test func remarksReachTheHostsLoggerAndNothingElseIsWritten() async throws {
    let lines = LogLines()
    let photo = try FileSystem.read(photos.pushing("red/0.jpg"))
    try AtomicFile.write(photos.pushing("red/copy.jpg"), bytes: photo)
    let training = try ImageTraining.start(
      photos: photos, run: run("logged"), options: Self.fineTuning,
      logger: Logger(label: "thaw") { _ in Recorder(lines: lines) })
    _ = try await training.outcome
    let warnings = lines.all.filter { $0.level == .warning }.map(\.text)
    #expect(warnings.contains { $0.contains("several times in one class") })
    #expect(lines.all.contains { $0.level == .info })
    let result = try TestTool.run([
      "train", photos.string, run("tool").string, TinyBackbone.directory.string,
    ])
    #expect(Double(result.output.dropLast()) != nil, "\(result.output)")
    // The default logger of swift-log writes to stderr, with the label.
    #expect(
      result.errors.split(separator: "\n").allSatisfy {
        $0.contains(" thaw: ") || $0.contains(" thaw ")
      })
  }
}

/// What was logged.
final class LogLines: Sendable {
  private let lines = Mutex<[(level: Logger.Level, text: String)]>([])
  var all: [(level: Logger.Level, text: String)] { lines.withLock { $0 } }
  func add(_ level: Logger.Level, _ text: String) { lines.withLock { $0.append((level, text)) } }
}

/// Keeps what is logged.
struct Recorder: LogHandler {
  let lines: LogLines
  var metadata = Logger.Metadata()
  var logLevel = Logger.Level.trace

  init(lines: LogLines) { self.lines = lines }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { lines.add(event.level, "\(event.message)") }
}
