// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import Thaw
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTestSupport
import ThawTinyBackbone

/// A photo's answer depends on the photo, the model and the views, and on nothing else.
struct ClassifierTests {
  @Test func aThousandPhotosFromSixteenTasksGiveTheBitsOfOneAfterTheOther() async throws {
    let tiny = try await TinyModel.shared
    let photos = try TinyModel.encoded(50)
    for model in [tiny.model, tiny.hiddenModel] {
      let alone = try tiny.classifier(workers: 1, batch: 1, model: model)
      var expected: [[UInt32]] = []
      for photo in photos { expected.append(try await alone.classify(photo).bits) }
      #expect(Set(expected).count == photos.count, "The photos must differ.")
      let known = expected
      let shared = try tiny.classifier(workers: 3, batch: 7, model: model)
      let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
        for task in 0..<16 {
          group.addTask {
            var wrong = 0
            for number in stride(from: task, to: 1000, by: 16) {
              let index = number % photos.count
              if try await shared.classify(photos[index]).bits != known[index] { wrong += 1 }
            }
            return wrong
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(wrong == 0)
    }
  }

  /// Sixty-four at once, so that workers take whole batches.
  @Test func aBatchDoesNotChangeAnAnswer() async throws {
    let tiny = try await TinyModel.shared
    let photos = try TinyModel.encoded(64)
    let alone = try tiny.classifier(workers: 1, batch: 1, model: tiny.hiddenModel)
    let together = try tiny.classifier(workers: 1, batch: 64, model: tiny.hiddenModel)
    async let answers = withThrowingTaskGroup(of: (Int, [UInt32]).self) { group in
      for (index, photo) in photos.enumerated() {
        group.addTask { (index, try await together.classify(photo).bits) }
      }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    for (index, bits) in try await answers {
      #expect(try await alone.classify(photos[index]).bits == bits, "photo \(index)")
    }
  }

  @Test(arguments: [
    (Views.center, Recipe.TestTime()), (.crops(5), Recipe.TestTime(count: 5)),
    (.blend(4), Recipe.TestTime(count: 4, mode: .blend)),
    (.corners, Recipe.TestTime(count: 8, mode: .corners)),
  ])
  func answersAreThoseOfTheCommand(_ views: Views, _ look: Recipe.TestTime) async throws {
    let tiny = try await TinyModel.shared
    let store = PretrainedStore(directory: TinyBackbone.directory)
    for model in [tiny.model, tiny.hiddenModel] {
      for threads in [1, 2] {
        let context = StageContext(
          console: Console(isQuiet: true), threads: threads, pretrained: store)
        let (predictions, failures) = try PredictStage(context: context).predict(
          [tiny.photos], model: ModelReference(model.string),
          options: .withLogits(top: 2, tta: look))
        #expect(failures.isEmpty && predictions.count == 24)
        let classifier = try tiny.classifier(workers: 2, views: views, model: model)
        for prediction in predictions {
          let answer = try await classifier.classify(contentsOf: prediction.path)
          #expect(answer.logits == prediction.logits)
          #expect(answer.label == prediction.label)
          #expect(answer.top(2).map(\.label) == prediction.top.map(\.label))
          #expect(answer.top(2).map(\.probability) == prediction.top.map(\.probability))
        }
      }
    }
  }

  /// A setting that this version does not know costs no view; one that is needed and cannot be read
  /// is an error for the views that need it, and for no others.
  @Test func aModelOfAnotherVersionKeepsItsAugmentedViews() async throws {
    let tiny = try await TinyModel.shared
    let directory = try TemporaryDirectory()
    let (record, parameters) = try ModelFile.read(tiny.model)
    func model(_ name: String, _ old: String, _ new: String) throws -> FilePath {
      var other = record
      other.training = record.training.replacing(old, with: new)
      #expect(other.training != record.training)
      let path = directory.path.appending(name)
      try ModelFile.write(path, other, parameters)
      return path
    }
    let later = try model("later.safetensors", "\\ntrain:\\n", "\\ntrain:\\n  novelty: 1\\n")
    let photo = try TinyPhotos.png(kind: 1, number: 7)
    let known = try tiny.classifier(workers: 1, views: .blend(3))
    let answer = try await tiny.classifier(workers: 1, views: .blend(3), model: later)
      .classify(photo)
    #expect(answer.bits == (try await known.classify(photo).bits))
    let renamed = try model("renamed.safetensors", "augmentation:", "variations:")
    let error = #expect(throws: ImageClassifierError.self) {
      try tiny.classifier(workers: 1, views: .blend(3), model: renamed)
    }
    #expect(error?.description.contains("no train.augmentation") == true)
    _ = try await tiny.classifier(workers: 1, views: .crops(5), model: renamed).classify(photo)
  }

  @Test func bytesDataPathAndPixelsAreOnePhoto() async throws {
    let tiny = try await TinyModel.shared
    let classifier = try tiny.classifier(workers: 2, views: .blend(2))
    let directory = try TemporaryDirectory()
    let bytes = try TinyPhotos.png(kind: 1, number: 7)
    let path = directory.path.appending("photo.png")
    try Data(bytes).write(to: URL(fileURLWithPath: path.string))
    let expected = try await classifier.classify(bytes).bits
    #expect(try await classifier.classify(Data(bytes)).bits == expected)
    #expect(try await classifier.classify(contentsOf: path).bits == expected)
    #expect(try await classifier.classify(contentsOf: path.string).bits == expected)
    let image = TinyPhotos.image(kind: 1, number: 7)
    let plain = try tiny.classifier(workers: 1)
    let pixels = try Photo(rgb: image.pixels, width: image.width, height: image.height)
    #expect(try await plain.classify(pixels).bits == plain.classify(bytes).bits)
  }

  @Test func anEmbeddingIsWhatTheHeadGets() async throws {
    let tiny = try await TinyModel.shared
    let classifier = try tiny.classifier(workers: 2)
    #expect(classifier.embeddingLength == 1280)
    let photos = try TinyModel.encoded(6)
    let model = try StoredModel(modelFile: tiny.model)
    let paths = model.parameters.paths
    let names = paths.filter { "\($0)".hasPrefix("classifier") || "\($0)".hasPrefix("head") }
    let weight = try #require(
      names.lazy.compactMap { model.parameters[$0] }.first { $0.shape.rank == 2 })
    let bias = try #require(
      names.lazy.compactMap { model.parameters[$0] }.first { $0.shape.rank == 1 })
    for photo in photos {
      async let answer = classifier.classify(photo)
      let embedding = try await classifier.embedding(of: Photo(photo))
      #expect(embedding.count == 1280)
      for (index, logit) in try await answer.logits.enumerated() {
        let sum = embedding.indices.reduce(Double(bias[index])) {
          $0 + Double(embedding[$1]) * Double(weight[index * 1280 + $1])
        }
        #expect(abs(sum - Double(logit)) < 1e-4 * max(1, abs(sum)))
      }
    }
  }

  @Test func twoClassifiersWorkAtOnce() async throws {
    let tiny = try await TinyModel.shared
    let photos = try TinyModel.encoded(20)
    let (one, other) = (
      try tiny.classifier(workers: 2), try tiny.classifier(workers: 2, model: tiny.hiddenModel)
    )
    var expected: [([UInt32], [UInt32])] = []
    for photo in photos {
      expected.append((try await one.classify(photo).bits, try await other.classify(photo).bits))
    }
    let known = expected
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (index, photo) in photos.enumerated() {
        group.addTask { () async throws in
          #expect(try await one.classify(photo).bits == known[index].0)
        }
        group.addTask { () async throws in
          #expect(try await other.classify(photo).bits == known[index].1)
        }
      }
      try await group.waitForAll()
    }
  }

  @Test func aHundredClassifiersComeAndGo() async throws {
    let tiny = try await TinyModel.shared
    let photo = try TinyPhotos.jpeg(kind: 0, number: 1)
    let expected = try await tiny.classifier(workers: 1).classify(photo).bits
    for number in 0..<100 {
      let classifier = try tiny.classifier(workers: 1 + number % 2)
      #expect(try await classifier.classify(photo).bits == expected)
      if number % 3 == 0 { await classifier.close() }
    }
  }
}
