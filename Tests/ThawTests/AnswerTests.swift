// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import Thaw
import ThawBackbones
import ThawConsole
import ThawFiles
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTinyBackbone

/// What the library says besides the label is what the command says.
struct AnswerTests {
  @Test(arguments: [Views.center, .crops(3)])
  func likenessAndSetsAreTheCommands(_ views: Views) async throws {
    let tiny = try await TinyModel.shared
    let context = StageContext(
      console: Console(isQuiet: true), threads: 1,
      pretrained: PretrainedStore(directory: TinyBackbone.directory))
    var options = PredictStage.Options.withLogits(
      top: 2, tta: Recipe.TestTime(count: views == .center ? 1 : 3))
    options.coverage = 0.7
    let (predictions, _) = try PredictStage(context: context).predict(
      [tiny.photos], model: ModelReference(tiny.model.string), options: options)
    let classifier = try tiny.classifier(workers: 2, views: views)
    #expect(predictions.count == 24)
    for prediction in predictions {
      let answer = try await classifier.classify(contentsOf: prediction.path)
      let likeness = try #require(answer.likeness)
      #expect(likeness.score == prediction.unknownScore)
      #expect(likeness.threshold == prediction.unknownThreshold)
      #expect(likeness.isUnknown == prediction.unknown)
      #expect(answer.set(coverage: 0.7)?.map(\.label) == prediction.set)
    }
  }

  @Test func aPhotoIsNearestToItself() async throws {
    let tiny = try await TinyModel.shared
    let classifier = try tiny.classifier(workers: 2)
    let length = try #require(classifier.embeddingLength)
    var collection = NearestEmbeddings(length: length)
    let photos = try TinyModel.encoded(6)
    for photo in photos { collection.append(try await classifier.embedding(of: Photo(photo))) }
    #expect(collection.count == 6)
    for (index, photo) in photos.enumerated() {
      let matches = collection.nearest(
        to: try await classifier.embedding(of: Photo(photo)), count: 3)
      #expect(matches.count == 3 && matches[0].index == index && matches[0].similarity > 0.9999)
      #expect(matches[1].similarity <= matches[0].similarity)
    }
    #expect(collection.nearest(to: [Float](repeating: 1, count: length), count: 99).count == 6)
  }
}
