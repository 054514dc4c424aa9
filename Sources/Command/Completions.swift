// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawRuns

/// What a shell offers behind an option: names that only this program knows.
///
/// The shell asks while somebody types, so that whatever goes wrong means no offer.
enum Completions {
  /// Cards by name.
  static let cards = CompletionKind.custom { _, _, prefix in
    cardNames.filter { $0.hasPrefix(prefix) }
  }

  /// Run directories: those below `runs`, and whatever else looks like one where the word leads to.
  static let runs = CompletionKind.custom { _, _, prefix in
    (entries(of: "runs/") + entries(of: prefix)).filter {
      $0.hasPrefix(prefix) && FileSystem.exists(RunDirectory(FilePath($0)).recipe)
    }.distinct
  }

  /// Models: those of runs, cards, and files.
  static let models = CompletionKind.custom { _, _, prefix in
    let trained = entries(of: "runs/").map { "\($0)/model.safetensors" }.filter {
      FileSystem.exists(FilePath($0))
    }
    let files = entries(of: prefix).filter { name in
      let path = FilePath(name)
      return path.extension.map { weightFiles.contains($0.lowercased()) } ?? false
        || (try? FileStatus(of: path).kind) == .directory
    }
    return (trained + cardNames + files).filter { $0.hasPrefix(prefix) }.distinct
  }

  /// How the names of files of weights end.
  private static let weightFiles: Set = [
    "safetensors", "pth", "pt", "pt2", "bin", "ckpt", "tar", "pkl", "h5", "hdf5", "keras", "npz",
    "onnx",
  ]

  /// Recipes that came with the program, and files.
  static let recipes = CompletionKind.custom { _, _, prefix in
    (FilePath.recipeNames + entries(of: prefix)).filter { $0.hasPrefix(prefix) }.distinct
  }

  /// `FOLDER=` for the folders of `--data`, then `FOLDER=CLASS` for the classes of `--model`.
  static let renamings = CompletionKind.custom { arguments, _, prefix in
    func value(of option: String) -> String? {
      arguments.firstIndex(of: option).flatMap {
        arguments.indices.contains($0 + 1) ? arguments[$0 + 1] : nil
      }
    }
    guard let sign = prefix.firstIndex(of: "=") else {
      guard let data = value(of: "--data") else { return [] }
      let folders = entries(of: data + "/").map { String($0.dropFirst(data.count + 1)) }
      return folders.map { $0 + "=" }.filter { $0.hasPrefix(prefix) }
    }
    let classes = value(of: "--model").map(classNames) ?? []
    return classes.map { prefix[...sign] + $0 }.filter { $0.hasPrefix(prefix) }
  }

  private static var cardNames: [String] {
    ((try? PretrainedStore.locate().cards()) ?? []).map(\.name)
  }

  private static func classNames(of model: String) -> [String] {
    if FileSystem.exists(FilePath(model)) {
      return (try? ModelFile.read(FilePath(model)).record.classNames) ?? []
    }
    guard let store = try? PretrainedStore.locate(), let card = try? store.card(named: model)
    else { return [] }
    return (try? card.classNames(in: store)) ?? []
  }

  /// What lies where `prefix` leads to, with the folder before each name.
  private static func entries(of prefix: String) -> [String] {
    let folder = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
    let names = (try? FileSystem.list(FilePath(folder.isEmpty ? "." : folder))) ?? []
    return names.map(\.string).filter { !$0.hasPrefix(".") }.sorted().map { folder + $0 }
  }
}

extension [String] {
  /// Each once, in the order of the first.
  fileprivate var distinct: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
