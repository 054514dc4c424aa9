// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawRecipes

/// Several looks at each photo, and several models.
struct TestTimeOptions: ParsableArguments {
  @Option(help: "Looks at each photo whose probabilities are combined; 1 is the centre alone.")
  var tta: Int?

  @Option(
    help: """
      crops: mean of deterministic crops. With the training augmentation: mean (fastai 0.7), blend \
      or maximum (fastai 2). corners: eight magnified corners, whatever the \
      number (fastai 1).
      """)
  var ttaMode: Recipe.TestTime.Mode?

  @Flag(help: "Average the models at the ends of the training's cycles in place of the one.")
  var snapshots = false

  func validate() throws {
    if let tta, !(1...64).contains(tta) {
      throw ValidationError("--tta is \(tta), expected 1 to 64.")
    }
    if ttaMode != nil, tta == 1 {
      throw ValidationError("--tta-mode needs --tta of at least 2.")
    }
  }

  /// Changes what was given. A mode without a number takes its usual one.
  func apply(to look: inout Recipe.TestTime) {
    if let ttaMode {
      look.mode = ttaMode
      if tta == nil, look.count == 1 { look.count = ttaMode == .crops ? 10 : 4 }
    }
    if let tta { look.count = tta }
  }
}
