// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawDatasets
import ThawImages
import ThawInference
import ThawRecipes
import ThawRuns

// An empty argument is most often a shell variable that is not set. As a path it would mean the
// working directory, which nobody asked for.

extension RunDirectory: ExpressibleByArgument {
  /// The directory of this name; nil for an empty name.
  public init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    self.init(FilePath(argument))
  }

  /// Directories that look like runs.
  package static var defaultCompletionKind: CompletionKind { Completions.runs }
}

extension FilePath: @retroactive ExpressibleByArgument {
  /// The path; nil for an empty one.
  public init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    self.init(argument)
  }
}

extension Split: ExpressibleByArgument {}
extension Recipe.Data.BadImagePolicy: ExpressibleByArgument {}
extension Augmentation.Preset: ExpressibleByArgument {}
extension StageContext.EngineChoice: ExpressibleByArgument {}
