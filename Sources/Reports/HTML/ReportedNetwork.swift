// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
import ThawExecution
package import ThawImages
package import ThawInference
package import ThawNetwork
package import ThawRecipes
package import ThawTraining

/// The network of a run and the training that made its weights, for a report.
package struct ReportedNetwork: Sendable {
  /// Where the backbone comes from.
  package let card: BackboneCard
  /// How photos become its input.
  package let preprocessing: Preprocessing
  /// Backbone and head.
  package let graph: Graph
  /// What trained at last, as the model file says.
  package let freezing: FreezePlan
  /// What the run was asked for.
  package let recipe: Recipe
  /// What its training reported.
  package let record: TrainingRecord
  /// What trained when; without phases for a recipe that no longer fits the network.
  package let schedule: FreezeSchedule

  /// Collects them.
  package init(
    card: BackboneCard, preprocessing: Preprocessing, graph: Graph, freezing: FreezePlan,
    recipe: Recipe, record: TrainingRecord, schedule: FreezeSchedule
  ) {
    self.card = card
    self.preprocessing = preprocessing
    self.graph = graph
    self.freezing = freezing
    self.recipe = recipe
    self.record = record
    self.schedule = schedule
  }

  /// The settings of the last training: the head's, or fine-tuning's.
  var settings: Recipe.Train { record.isHeadAlone ? recipe.train : recipe.fineTune.train }

  /// Whether fine-tuning was tried, and the model that it started from kept.
  package var keepsHead: Bool { record.outcome.interpolation == 0 }

  /// The settings of the training that made the weights: those of ``settings``, unless what they led
  /// to was set aside.
  package var keptSettings: Recipe.Train { keepsHead ? recipe.train : settings }

  /// Whether the weights come from varied photos: people believe so when a cache or solver prevented
  /// it.
  package var isAugmented: Bool {
    keptSettings.augmentation.isActive && keptSettings.solver != .lbfgs
  }

  /// Whether layers are frozen in front of what trained last, so that they were computed as for
  /// inference.
  var hasFrozenFront: Bool { !Partition(graph, freezing: freezing).prefix.isEmpty }

  /// The largest learning rate of each layer group in the last phase.
  var rates: [Double] {
    schedule.phases.last?.rates ?? [Double](repeating: recipe.train.rate, count: graph.groups.count)
  }

  /// The learning rate of every step of the epochs that were trained, for each layer group; 0 while
  /// it is frozen.
  ///
  /// - Parameter samples: training photos, at least one.
  func ratesOfSteps(_ history: [EpochRecord], samples: Int) -> [[Double]] {
    let configuration = settings.configuration(
      samples: samples, hasValidation: false, seed: recipe.seed)
    let steps = BatchOrder(
      count: samples, batchSize: configuration.stepSize, seed: configuration.seed
    ).batches.count
    return graph.groups.indices.map { group in
      schedule.phases.enumerated().flatMap { index, phase in
        let epochs = schedule.epochs(ofPhase: index)
        let trained = history.count { epochs.contains($0.epoch) }
        let curve = (phase.schedule ?? configuration.schedule).curve(
          stepsPerEpoch: steps, epochs: phase.epochs)
        let rate = phase.plan.trains(group: group) ? phase.rates[group] : 0
        return (0..<steps * trained).map { curve($0).factor * rate }
      }
    }
  }
}
