// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles

/// `thaw diagnose batchnorm` as a command.
@Suite struct DiagnoseBatchNormTests {
  @Test func itSaysWhatOutsideChecksRelyOnAndTheReportShowsIt() throws {
    let workspace = try Workspace()
    try workspace.fit("--valid", "0.3").succeeded()
    let found = try workspace.thaw("diagnose", "batchnorm", "--run", "run", "--json").json()
    for phase in ["inference", "training"] {
      for key in ["accuracy", "loss", "auc"] {
        #expect(found[phase][key].double != nil, "\(phase).\(key)")
      }
    }
    let gap =
      (found["training"]["accuracy"].double ?? 0) - (found["inference"]["accuracy"].double ?? 0)
    #expect(abs((found["gap"].double ?? 9) - gap) < 1e-9)
    #expect(found["layers"].array.count == 49)
    #expect(found["layers"][0]["path"].string == "bn1")
    for key in ["mean_shift", "variance_ratio", "divergence", "loss_alone"] {
      #expect(found["layers"].array.allSatisfy { $0[key].double != nil }, "\(key)")
    }
    #expect(found["verdict"].string?.isEmpty == false)
    #expect(found["recommendation"].string?.isEmpty == false)
    #expect(found["split"].string == "train")
    #expect(FileSystem.exists(workspace.file("run/diagnosis_batchnorm.json")))
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try workspace.text("run/report.html").contains("id=\"batchnorm\""))
  }

  @Test func aHeadTrainedOnBatchStatisticsIsAccusedAndTheFixIsWritten() throws {
    let workspace = try Workspace(count: 20)
    try workspace.prepare("--valid", "0.4", "--frozen-batch-norm", "keras-2.1.3").succeeded()
    let trained = try workspace.thaw(
      "train", "--run", "run", "--epochs", "25", "--patience", "0", "--json"
    ).json()
    #expect(trained["cached"].bool == false)
    let found = try workspace.thaw(
      "diagnose", "batchnorm", "--run", "run", "--quick", "--json", "--apply", "fixed.safetensors"
    ).json()
    // The layers of this network are random, so one of them may be blamed as well as all.
    #expect(found["verdict"].string?.hasPrefix("Batch-norm problem") == true)
    #expect(["batch_statistics", "corrupted_statistics"].contains(found["kind"].string))
    #expect(found["evidence"].array.contains { $0.string?.contains("batchStatistics") == true })
    #expect(found["fixes"].array.count >= 3)
    #expect(
      found["kind"].string == "corrupted_statistics"
        || found["code"].string == "thaw train --run run --frozen-batch-norm inference")
    let fixed = try workspace.thaw(
      "diagnose", "batchnorm", "--model", "fixed.safetensors", "--data", "photos", "--quick",
      "--no-fixes", "--json"
    ).json()
    #expect((fixed["gap"].double ?? 1) < (found["gap"].double ?? 0))
    #expect(
      (fixed["inference"]["accuracy"].double ?? 0) > (found["inference"]["accuracy"].double ?? 1))
  }

  @Test func everyFixIsWrittenAndJudgedOnPhotosApartAndASingleFolderIsAskedAbout() throws {
    let workspace = try Workspace(count: 20)
    try workspace.prepare("--valid", "0.4", "--frozen-batch-norm", "keras-2.1.3").succeeded()
    try workspace.thaw("train", "--run", "run", "--epochs", "25", "--patience", "0").succeeded()
    let found = try workspace.thaw(
      "diagnose", "batchnorm", "--run", "run", "--quick", "--json", "--write-fixes", "fixes"
    ).json()
    let fixes = found["fixes"].array
    let names = fixes.compactMap(\.["name"].string)
    #expect(names.contains("head") && names.contains("recalibrate"), "\(names)")
    for fix in fixes {
      let name = fix["name"].string ?? ""
      #expect(FileSystem.exists(workspace.file("fixes/\(name).safetensors")), "\(name)")
      // Validation photos judge: nothing has learned from them.
      #expect(fix["bias"].string == nil)
      let interval = fix["interval"].array.compactMap(\.double)
      #expect(interval.count == 2 && interval[0] <= (fix["accuracy"].double ?? -1))
    }
    let told = try workspace.thaw(
      "diagnose", "batchnorm", "--model", "run/model.safetensors", "--data", "photos", "--seen",
      "yes", "--quick", "--no-fixes", "--json"
    ).json()
    #expect(told["familiarity"]["answer"].string == "seen")
    #expect(told["familiarity"]["is_said"].bool == true)
    let same = try workspace.start([
      "diagnose", "batchnorm", "--model", "run/model.safetensors", "--data", "photos",
      "--train-data", "photos",
    ]).wait()
    #expect(same.status == 65)
    #expect(same.stderr.contains("all of its photos are in photos too"), "\(same.stderr)")
  }

  /// What it takes, in passes of a photo through the network rather than in seconds: features are
  /// computed once for each choice of statistics, and of many photos no mixture of them is tried.
  @Test(arguments: [(90, 90), (90, 40)])
  func photosPassAFewTimes(count: Int, shown: Int) throws {
    let workspace = try Workspace(count: count)
    try workspace.prepare("--valid", "0.1", "--frozen-batch-norm", "keras-2.1.3").succeeded()
    try workspace.thaw("train", "--run", "run", "--epochs", "8", "--patience", "0").succeeded()
    let found = try workspace.thaw(
      "diagnose", "batchnorm", "--model", "run/model.safetensors", "--data", "photos", "--quick",
      "--photos", "\(2 * shown)", "--seen", "no", "--json"
    ).json()
    let passes = (found["photo_passes"].double ?? .infinity) / (found["photos"].double ?? 1)
    let names = found["fixes"].array.compactMap(\.["name"].string)
    #expect(names.contains("recalibrate-head"), "\(names)")
    #expect(names.contains("recalibrate-part-head") == (shown == 40), "\(names)")
    #expect(passes < (shown == 40 ? 32 : 16), "\(passes)")
  }

  @Test func theAnswerSaysWhatIsWrongThenWhatIsWonThenWhatToDo() throws {
    let workspace = try Workspace(count: 20)
    try workspace.prepare("--valid", "0.4", "--frozen-batch-norm", "keras-2.1.3").succeeded()
    try workspace.thaw("train", "--run", "run", "--epochs", "25", "--patience", "0").succeeded()
    let text = try workspace.thaw("diagnose", "batchnorm", "--run", "run", "--quick")
    let lines = text.stdout.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[0].hasPrefix("Batch-norm problem"))
    #expect(lines[1].hasPrefix("To be won: Of new photos "), "\(text.stdout)")
    #expect(lines[2].hasPrefix("To do: --apply FILE writes the model with "), "\(text.stdout)")
    // The advice is followed.
    let found = try workspace.thaw("diagnose", "batchnorm", "--run", "run", "--quick", "--json")
      .json()
    #expect(found["gain"].string?.contains(found["recommended_fix"].string ?? "?") == true)
  }

  /// A run has its own photos, so advice about it names its model instead; followed it is not refused.
  @Test func adviceAboutARunIsACommandThatIsNotRefused() throws {
    let workspace = try Workspace(count: 12)
    try workspace.prepare("--valid", "0").succeeded()
    try workspace.thaw("train", "--run", "run").succeeded()
    let found = try workspace.thaw(
      "diagnose", "batchnorm", "--run", "run", "--quick", "--no-fixes", "--json"
    ).json()
    #expect(found["kind"].string == "cannot_tell")
    // All photos of a run without others were trained on; nobody is asked to say so.
    #expect(found["familiarity"]["answer"].string == "seen")
    #expect(!found["evidence"].array.contains { $0.string?.contains("--seen") == true })
    let advice = found["recommendation"].string ?? ""
    let command =
      "thaw diagnose batchnorm --model run/model.safetensors --train-data TRAINED --data OTHERS"
    #expect(advice.contains(command), "\(advice)")
    let others = workspace.file("others")
    for kind in 0..<2 {
      let folder = others.appending(["blue", "red"][kind])
      try FileSystem.createDirectory(folder)
      for number in 0..<6 {
        try AtomicFile.write(
          folder.appending("\(number).png"),
          bytes: try Workspace.photo(kind: kind, number: 500 + number))
      }
    }
    let words = command.split(separator: " ").dropFirst().map {
      $0 == "TRAINED" ? "photos" : $0 == "OTHERS" ? "others" : String($0)
    }
    try workspace.start(words + ["--quick", "--no-fixes"]).wait().succeeded()
  }

  @Test(arguments: [
    ([], Int32(64), "Give either --run RUN"),
    (["--model", "m.safetensors"], 64, "--model and --data belong together"),
    (["--run", "run", "--fix", "head"], 64, "--fix needs --apply FILE"),
    (["--run", "run", "--batch", "1"], 64, "--batch is 1, expected 2 to 64"),
    (["--run", "run", "--seen", "yes"], 64, "--seen is for --data alone"),
    (["--run", "run", "--train-data", "photos"], 64, "--train-data belongs to --model and --data"),
    (
      ["--model", "m.safetensors", "--data", "photos", "--write-fixes", "out", "--no-fixes"], 64,
      "--write-fixes and --no-fixes contradict"
    ),
    (["--run", "run"], 65, "Run first: thaw prepare"),
    (["--model", "dir/none.pth", "--data", "photos"], 65, "no such model file"),
  ])
  func wrongUsesAreRefused(options: [String], code: Int32, message: String) throws {
    let workspace = try Workspace(count: 2)
    let outcome = try workspace.start(["diagnose", "batchnorm"] + options).wait()
    #expect(outcome.status == code)
    #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
  }
}
