// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// What people call an option that has another name here.
///
/// The parser itself suggests names that are a letter or two away; these are the words of other
/// programs (Keras, fastai, timm, Ultralytics, PyTorch's examples).
struct NearMisses {
  private let arguments: [String]

  /// - Parameter arguments: the command line without the program's name.
  init(arguments: [String]) { self.arguments = arguments }

  /// The parser's message; where an option that the command does not have was given, a message about
  /// that one instead, with the name it has here.
  func improve(_ message: String) -> String {
    let (known, given) = (options, given)
    guard let option = given.first(where: { !known.contains($0) && !Self.always.contains($0) })
    else { return message }
    let word = option.dropFirst(2).lowercased().replacing("_", with: "-")
    let name = ([word] + (Self.names[word] ?? [])).first { known.contains("--\($0)") }
    // The parser knows names that are a letter or two away.
    if name == nil, message.contains("Unknown option '\(option)'") { return message }
    let usage = message.range(of: "\nUsage:").map { message[$0.lowerBound...] } ?? ""
    return "Error: Unknown option '\(option)'."
      + (name.map { " Did you mean '--\($0)'?" } ?? "") + usage
  }

  /// The options on the command line, without their values.
  private var given: [String] {
    arguments.prefix { $0 != "--" }.filter { $0.hasPrefix("--") }.map {
      String($0.prefix { $0 != "=" })
    }
  }

  /// What the parser takes for every command and does not list.
  private static let always: Set = [
    "--help", "--help-all", "--help-hidden", "--version", "--generate-completion-script",
    "--experimental-dump-help",
  ]

  /// The names of the options of the command that was called, hidden ones among them.
  private var options: Set<String> {
    var command: any ParsableCommand.Type = RootCommand.self
    for argument in arguments {
      guard
        let next = command.configuration.subcommands.first(where: { $0.commandName == argument })
      else { break }
      command = next
    }
    let help = RootCommand.helpMessage(for: command, includeHidden: true)
    return Set(help.matches(of: /--[a-z][a-z-]*/).map { String($0.output) })
  }

  /// By what others call it, the names it may have here, the first that the command has being meant.
  private static let names: [String: [String]] = [
    "lr": ["learning-rate"], "lr0": ["learning-rate"], "base-lr": ["learning-rate"],
    "rate": ["learning-rate"],
    "wd": ["weight-decay"], "l2": ["weight-decay"],
    "bs": ["batch"], "batch-size": ["batch"],
    "epoch": ["epochs"], "num-epochs": ["epochs"], "nb-epochs": ["epochs"],
    "optimizer": ["solver"], "optimiser": ["solver"], "opt": ["solver"],
    "scheduler": ["schedule"], "sched": ["schedule"], "lr-scheduler": ["schedule"],
    "warmup": ["warm-up"], "warmup-epochs": ["warm-up"],
    "smoothing": ["label-smoothing"], "clip-grad": ["gradient-clip"],
    "gradient-clipping": ["gradient-clip"], "ema": ["weight-averaging"],
    "accumulate": ["accumulation"], "grad-accum": ["accumulation"],
    "drop": ["dropout"], "early-stopping": ["patience"], "augment": ["augmentation"],
    "aug": ["augmentation"], "mixup": ["mixing"], "cutmix": ["mixing"],
    "class-weight": ["class-weights"],
    "imgsz": ["size"], "img-size": ["size"], "image-size": ["size"], "input-size": ["size"],
    "resolution": ["size"],
    "arch": ["backbone"], "network": ["backbone"], "pretrained": ["backbone"],
    "model": ["backbone"], "weights": ["model", "backbone"], "checkpoint": ["model"],
    "backbone": ["model"],
    "val": ["valid"], "validation": ["valid"], "val-split": ["valid"],
    "validation-split": ["valid"], "valid-split": ["valid"], "test-split": ["test"],
    "config": ["recipe"], "cfg": ["recipe"], "pipeline": ["recipe"],
    "out": ["output", "run"], "output-dir": ["run"], "output": ["run"], "project": ["run"],
    "workers": ["threads"], "num-workers": ["threads"], "jobs": ["threads"], "cpus": ["threads"],
    "images": ["data"], "photos": ["data"], "dataset": ["data"], "source": ["data"],
    "classes": ["class-names"], "labels": ["class-names"], "topk": ["top"], "top-k": ["top"],
    "no-finetune": ["no-fine-tune"], "finetune": ["fine-tune"], "freeze": ["freeze-to"],
    "random-seed": ["seed"], "silent": ["quiet"],
  ]
}

extension ParsableCommand {
  fileprivate static var commandName: String {
    configuration.commandName ?? String(describing: self).lowercased()
  }
}
