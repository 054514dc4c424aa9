// SPDX-License-Identifier: Apache-2.0

extension Recipe {
  /// The keys that say something other than the default and change nothing beside the other keys, each as
  /// a sentence: `train.epochs: 7 has no effect: lbfgs solves the head at once, without steps and epochs`.
  ///
  /// A recipe that a run wrote has every key, so what is as usual is not among them. Nothing is said about
  /// `fine_tune` where it is switched off: it waits there for `thaw fine-tune`.
  package var keysWithoutEffect: [String] {
    let usual = Recipe()
    return Recipe.entries.flatMap { entry -> [String] in
      guard case .section(let name, let keys, _) = entry else { return [] }
      guard name != "fine_tune" || fineTune.enabled else { return [] }
      return keys.compactMap { key in
        guard let reason = key.idle(self), let value = key.write(self), value != key.write(usual)
        else { return nil }
        return "\(name).\(key.name): \(value) has no effect: \(reason)"
      }
    }
  }
}
