// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawRecipes

/// What an option says about one key of a recipe. The key has the option's name, help and bounds.
struct RecipeArgument<Section> {
  let key: RecipeKey<Section>
  let text: String

  /// Fails on a value that the key does not take, before anything is done.
  func check(in section: Section) throws {
    var scratch = section
    try apply(to: &scratch)
  }

  /// Puts the value in force.
  ///
  /// - Throws: `PipelineError.usage` for a value that the key does not take.
  func apply(to section: inout Section) throws { try key.set(text, in: &section) }
}

/// What an option says about a key that head training and fine-tuning have.
struct StageArgument {
  let key: StageKey
  let text: String

  /// The setting.
  ///
  /// - Throws: `PipelineError.usage` for a value that the key does not take.
  func setting() throws -> StageSetting { try StageSetting(key, text) }
}

extension ParsableArguments {
  /// Runs `checks` in `validate()`: what they refuse is bad usage.
  func refusing(_ checks: () throws -> Void) throws {
    do { try checks() } catch let error as PipelineError {
      throw ValidationError(error.description)
    }
  }
}

extension Option {
  /// The option of a recipe's key.
  init<Section>(
    _ key: RecipeKey<Section>, parsing: SingleValueParsingStrategy = .next
  ) where Value == RecipeArgument<Section>?, Section: RecipeSection {
    self.init(
      name: key.optionName, parsing: parsing, help: key.argumentHelp(key.standard),
      completion: key.completion,
      transform: { RecipeArgument(key: key, text: $0) })
  }

  /// The option of a key that head training and fine-tuning have.
  init(_ key: RecipeKey<Recipe.Train>) where Value == StageArgument? {
    self.init(
      name: key.optionName, help: key.argumentHelp(StageKey(key).standard),
      completion: key.completion,
      transform: { StageArgument(key: StageKey(key), text: $0) })
  }

  /// The option of a key that head training and fine-tuning have in sections of their own.
  init<Section>(_ key: RecipeKey<Section>, of stages: StageKey) where Value == StageArgument? {
    self.init(
      name: key.optionName, help: key.argumentHelp(stages.standard), completion: key.completion,
      transform: { StageArgument(key: stages, text: $0) })
  }
}

extension RecipeKey {
  /// Help for a flag of the key.
  var argumentHelp: ArgumentHelp { argumentHelp("") }

  /// Help for an option of the key.
  ///
  /// - Parameter standard: what is in force without it; empty when that says nothing.
  fileprivate func argumentHelp(_ standard: String) -> ArgumentHelp {
    ArgumentHelp(stringLiteral: standard.isEmpty ? help : "\(help) (default: \(standard))")
  }

  fileprivate var optionName: NameSpecification { .customLong(option ?? name) }

  fileprivate var completion: CompletionKind? {
    switch option {
    case "backbone": Completions.cards
    case "labels": .file()
    case "unlabelled": .directory
    default: words.isEmpty ? nil : .list(words)
    }
  }
}
