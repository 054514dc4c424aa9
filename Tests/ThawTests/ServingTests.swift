// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import Thaw
import ThawAnswers
import ThawBackbones
import ThawConsole
import ThawFiles
import ThawInference
import ThawTestSupport
import ThawTinyBackbone

/// What servers need besides single answers.
struct ServingTests {
  @Test func severalPhotosAreAnsweredInOrderAndAPhotoThatIsNoneIsAlone() async throws {
    let tiny = try await TinyModel.shared
    let classifier = try tiny.classifier(workers: 2, batch: 3)
    let photos = try TinyModel.encoded(7)
    var mixed = photos.map { Photo($0) }
    mixed.insert(Photo(Array("no photo".utf8)), at: 3)
    var answers = try await classifier.answers(to: mixed)
    #expect(answers.count == 8)
    guard case .failure(.unusablePhoto) = answers.remove(at: 3) else {
      Issue.record("Bytes that are no photo were answered.")
      return
    }
    for (photo, answer) in zip(photos, answers) {
      #expect(try answer.get().bits == (try await classifier.classify(photo)).bits)
    }
    #expect(try await classifier.answers(to: []).isEmpty)
  }

  @Test func severalPhotosAreAcceptedTogetherOrNotAtAll() async throws {
    let tiny = try await TinyModel.shared
    let classifier = try tiny.classifier(workers: 1, capacity: 3, views: SlowPhoto.views)
    let small = try TinyModel.encoded(4).map { Photo($0) }
    await #expect(throws: ImageClassifierError.overloaded(waiting: 0, capacity: 3)) {
      _ = try await classifier.answers(to: small)
    }
    // Neither a refusal nor a cancellation keeps places.
    for _ in 0..<5 {
      let task = Task { try await classifier.answers(to: Array(small.prefix(3))) }
      task.cancel()
      _ = try? await task.value
    }
    let answers = try await classifier.answers(to: Array(small.prefix(3)))
    #expect(answers.allSatisfy { (try? $0.get()) != nil })
  }

  @Test func aPhotoWaitsForOthersNoLongerThanItMay() async throws {
    let tiny = try await TinyModel.shared
    func classifier(_ delay: Duration) throws -> ImageClassifier {
      var configuration = ImageClassifier.Configuration()
      (configuration.workers, configuration.maximumBatch) = (1, 4)
      configuration.batchDelay = delay
      return try ImageClassifier(contentsOf: tiny.model, configuration: configuration)
    }
    let photos = try TinyModel.encoded(4)
    let clock = ContinuousClock()
    let patient = try classifier(.seconds(3600))
    let together = try await clock.measure {
      let answers = try await patient.answers(to: photos.map { Photo($0) })
      #expect(answers.count == 4)
    }
    #expect(together < .seconds(3000), "a full batch waited for \(together)")
    #expect(patient.statistics.batches == 1 && patient.statistics.photos == 4)
    #expect(patient.statistics.busy > .zero && patient.statistics.waiting == 0)
    let brief = try classifier(.seconds(0.5))
    let alone = try await clock.measure { _ = try await brief.classify(photos[0]) }
    #expect(alone >= .seconds(0.5), "a photo alone waited for \(alone)")
  }

  @Test func photosWithTooManyPixelsAreRefused() async throws {
    let tiny = try await TinyModel.shared
    var configuration = ImageClassifier.Configuration()
    configuration.workers = 1
    configuration.maximumPixels = 100
    let classifier = try ImageClassifier(contentsOf: tiny.model, configuration: configuration)
    let photo = try TinyPhotos.png(kind: 0, number: 1)
    await #expect(throws: ImageClassifierError.self) { _ = try await classifier.classify(photo) }
    await #expect(throws: ImageClassifierError.self) {
      _ = try await classifier.explanation(of: Photo(photo))
    }
    #expect(try tiny.classifier(workers: 1).classNames == classifier.classNames)
  }

  @Test func explanationsAreTheCommands() async throws {
    let tiny = try await TinyModel.shared
    let output = try TemporaryDirectory()
    let context = StageContext(
      console: Console(isQuiet: true), threads: 1,
      pretrained: PretrainedStore(directory: TinyBackbone.directory))
    let paths = ["blue", "red"].map { tiny.photos.appending($0).appending("0.jpg") }
    var options = ExplainStage.Options()
    options.className = "red"
    let explained = try ExplainStage(context: context).explain(
      paths, model: ModelReference(tiny.model.string), to: output.path, options: options)
    let classifier = try tiny.classifier(workers: 2)
    for (path, expected) in zip(paths, explained.explanations) {
      let own = try await classifier.explanation(of: Photo(contentsOf: path), for: "red")
      #expect(own.label == "red" && own.map == expected.map)
      #expect(own.probability == expected.probability)
      #expect(own.layer == explained.layer && own.isExact == explained.exact)
      let file = try Data(contentsOf: URL(fileURLWithPath: expected.overlay))
      #expect(Data(own.overlay) == file)
      #expect(own.area.width > 0 && own.area.height > 0)
    }
    let best = try await classifier.explanation(of: Photo(contentsOf: paths[0]))
    #expect(best.label == (try await classifier.classify(contentsOf: paths[0])).label)
    await #expect(throws: ImageClassifierError.noExplanation("the model has no class 'green'.")) {
      _ = try await classifier.explanation(of: Photo(contentsOf: paths[0]), for: "green")
    }
    await classifier.close()
    await #expect(throws: ImageClassifierError.closed) {
      _ = try await classifier.explanation(of: Photo(contentsOf: paths[0]))
    }
  }

  @Test func aModelIsDescribedByItsFile() async throws {
    let tiny = try await TinyModel.shared
    let model = try tiny.classifier(workers: 1).model
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: tiny.model.string)))
    #expect(model.fileHash == SHA256.hexadecimal(of: bytes))
    #expect(model.isCalibrated && model.knowsLikeness && model.hasSets)
    #expect(!model.allowsSeveralLabels && model.architecture == "efficientnet_lite0")
  }
}
