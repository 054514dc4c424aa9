// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawRecipes
import ThawReports

/// What fine-tuning was worth, and how to train the same again.
extension RunReport {
  /// The head alone against what fine-tuning left, on the judged photos; nil for a head, and where
  /// the head's model is not there any more.
  ///
  /// - Throws: ``PipelineError/interrupted``.
  func comparison() throws -> ReportContent.Comparison? {
    guard !record.isHeadAlone, let split = Split(rawValue: result.evaluation.split),
      let start = try? TrainingRecord.read(run.headModel),
      let shrinksPhotos = try? open.with(recipe).shrinksTunedPhotos(),
      FineTuningKey(
        recipe, head: start, engine: open.context.compiler.trainingEngine.name,
        shrinksPhotos: shrinksPhotos
      ).made(record)
    else { return nil }
    do {
      let head = try RunEvaluation(
        open, split: split, tta: .init(), snapshots: false, model: run.headModel)
      let isShown = look.views.count == 1 && !look.snapshots
      let tuned =
        isShown ? result : try RunEvaluation(open, split: split, tta: .init(), snapshots: false)
      let rows = head.records.indices
      return ReportContent.Comparison(
        head: head.evaluation, tuned: tuned.evaluation,
        gained: rows.count { !head.isRight($0) && tuned.isRight($0) },
        lost: rows.count { head.isRight($0) && !tuned.isRight($0) })
    } catch PipelineError.interrupted {
      throw PipelineError.interrupted
    } catch {
      // A run with a file missing still gets its report.
      return nil
    }
  }

  /// One command that makes the same model in another directory, and judges it in the same way.
  var reproduction: ReportContent.Reproduction {
    let time = TrainingTime(in: run, key: record.key)
    var words = [
      "thaw", "fit", ShellWord.quote(manifest.root.bytes), "--run",
      ShellWord.quote(BytePath(run.path).bytes + Array("-again".utf8)), "--recipe",
      ShellWord.quote(BytePath(run.recipe).bytes),
    ]
    let isTuned = !record.isHeadAlone
    if recipe.fineTune.enabled != isTuned {
      words.append(isTuned ? "--fine-tune" : "--no-fine-tune")
    }
    if look.views != recipe.evaluate.tta {
      words += ["--tta", "\(look.views.count)"]
      if look.views.count > 1, look.views.mode != recipe.evaluate.tta.mode {
        words += ["--tta-mode", look.views.mode.rawValue]
      }
    }
    if look.snapshots && !recipe.evaluate.snapshots { words.append("--snapshots") }
    if let threads = time?.threads { words += ["--threads", "\(threads)"] }
    let facts = [
      ("Thaw", model.thawVersion), ("Seed", "\(recipe.seed)"),
      ("Threads", time?.threads.map { "\($0)" } ?? ""),
      ("Engine", open.context.compiler.inferenceEngine.name(for: network.graph)),
      ("Training time", time.map { Format.duration(seconds: $0.seconds) } ?? ""),
    ]
    return .init(
      command: words.joined(separator: " "), caveat: caveat,
      facts: facts.filter { !$0.1.isEmpty })
  }

  /// Whether the recipe in force is not the one that the model was trained by.
  private var caveat: String? {
    guard let then = record.readRecipe() else { return nil }
    let isSame =
      then.seed == recipe.seed && then.backbone == recipe.backbone && then.image == recipe.image
      && then.head == recipe.head && then.train == recipe.train
      && then.precision == recipe.precision && then.cache == recipe.cache
      && (record.isHeadAlone || then.fineTune.means(recipe.fineTune))
    return isSame
      ? nil
      : "The recipe was changed after this training; the command trains as the recipe says now."
  }
}

extension Recipe.FineTune {
  /// Whether `other` fine-tunes in the same way, if it does.
  fileprivate func means(_ other: Recipe.FineTune) -> Bool {
    var (first, second) = (self, other)
    (first.enabled, second.enabled) = (true, true)
    return first == second
  }
}
