// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

#if canImport(Glibc)
  import Glibc
#endif

/// The targets of rooms and shims, by their folders.
func targets(_ rooms: [String], _ shims: [String] = []) -> [Target.Dependency] {
  rooms.map { .target(name: "Thaw\($0)") } + shims.map { .target(name: "CThaw\($0)") }
}

/// A room of the house: the folder says what it is for, the module's name is nobody else's.
///
/// The order of the list is the order of the data (ARCHITECTURE.md).
func room(
  _ folder: String, _ rooms: [String] = [], shims: [String] = [],
  libraries: [Target.Dependency] = []
) -> Target {
  .target(
    name: "Thaw\(folder)",
    dependencies: targets(rooms, shims) + libraries,
    path: "Sources/\(folder)",
    swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")])
}

/// A C library behind small, checked, prefixed functions.
func shim(_ library: String, _ others: [String] = [], links: [String]) -> Target {
  .target(
    name: "CThaw\(library)", dependencies: targets([], others), path: "Sources/Shims/\(library)",
    linkerSettings: links.map { .linkedLibrary($0) })
}

/// A library for one format of photos, which a machine may lack: the shim then says so when such a file
/// is met.
///
/// `THAW_WITHOUT=webp,heif` leaves libraries out that are there.
///
/// `helpers` are libraries that it uses itself where their headers are there, too: then it is built with
/// `THAW_HAS_<library>_DECODERS`.
func optionalShim(
  _ library: String, header: String, links: [String],
  helpers: [(header: String, link: String)] = []
) -> Target {
  let name = library.uppercased()
  let left = Context.environment["THAW_WITHOUT"] ?? ""
  let isLeftOut = left.split(separator: ",").contains { $0.uppercased() == name }
  let places = (Context.environment["CPATH"] ?? "").split(separator: ":").map(String.init)
  // Debian keeps some headers in a folder of the processor's name.
  #if arch(arm64)
    let debian = "/usr/include/aarch64-linux-gnu"
  #else
    let debian = "/usr/include/x86_64-linux-gnu"
  #endif
  let folders = places + ["/usr/include", debian, "/usr/local/include"]
  func isHere(_ header: String) -> Bool {
    folders.contains { access("\($0)/\(header)", R_OK) == 0 }
  }
  let isUsed = isHere(header) && !isLeftOut
  let isHelped = isUsed && !helpers.isEmpty && helpers.allSatisfy { isHere($0.header) }
  let settings: [CSetting] =
    (isUsed ? [.define("THAW_HAS_\(name)", to: "1")] : [])
    + (isHelped ? [.define("THAW_HAS_\(name)_DECODERS", to: "1")] : [])
  let linked = (isUsed ? links : []) + (isHelped ? helpers.map(\.link) : [])
  return .target(
    name: "CThaw\(library)", dependencies: ["CThawImageCodecs"],
    path: "Sources/Shims/\(library)",
    cSettings: settings, linkerSettings: linked.map { .linkedLibrary($0) })
}

/// The tests of one room; they see what every room sees.
func tests(
  of folder: String, _ rooms: [String], libraries others: [Target.Dependency] = [],
  resources: [Resource] = []
) -> Target {
  .testTarget(
    name: "\(folder)Tests",
    dependencies: ["ThawTestSupport"] + targets(rooms) + others, resources: resources)
}

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "thaw",
  products: [
    .library(name: "Thaw", targets: ["Thaw"]),
    .executable(name: "thaw", targets: ["ThawCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    // Without its extensions to Foundation's types.
  ],
  targets: [
    shim("OneDNN", links: ["dnnl", "gomp"]),
    // Loaded when it is first used.
    shim("OpenBLAS", links: ["dl"]),
    shim("ImageCodecs", ["Kernels"], links: ["jpeg", "png", "z"]),
    optionalShim("WebP", header: "webp/demux.h", links: ["webpdemux", "webp"]),
    optionalShim("GIF", header: "gif_lib.h", links: ["gif"]),
    optionalShim("TIFF", header: "tiffio.h", links: ["tiff"]),
    optionalShim(
      "HEIF", header: "libheif/heif.h", links: ["heif"],
      helpers: [("libde265/de265.h", "de265"), ("dav1d/dav1d.h", "dav1d")]),
    optionalShim("LCMS", header: "lcms2.h", links: ["lcms2"]),
    shim("Zlib", links: ["z"]),
    shim("Crypto", links: ["crypto"]),
    // Its plugin is compiled by `make setup-mpi` with the machine's mpicc, and loaded when a launcher
    // of MPI started the program.
    .target(
      name: "CThawMPI", path: "Sources/Shims/MPI", exclude: ["plugin"],
      linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CThawKernels", path: "Sources/Kernels"),

    room("Tensors", shims: ["OpenBLAS"]),
    room("Files", shims: ["Crypto"], libraries: [systemPackage]),
    room("Ranks", ["Files"], shims: ["MPI"], libraries: [systemPackage]),
    room("Configuration", libraries: [yams]),
    room("Console", ["Files"], libraries: [systemPackage]),
    room("Images", ["Tensors"], shims: ["ImageCodecs", "WebP", "GIF", "TIFF", "HEIF", "LCMS"]),
    room("Network", ["Tensors"]),
    room("Execution", ["Network", "Tensors"], shims: ["Kernels"]),
    room("Reference", ["Execution", "Network", "Tensors"]),
    room("OneDNN", ["Execution", "Network", "Tensors"], shims: ["OneDNN", "Kernels"]),
    room("Archives", ["Files"], shims: ["Zlib"], libraries: [systemPackage]),
    room("Checkpoints", ["Archives", "Files", "Tensors", "Network"]),
    room(
      "Graphs", ["Archives", "Checkpoints", "Files", "Images", "Network", "Tensors"],
      libraries: [systemPackage]),
    room(
      "Backbones",
      ["Checkpoints", "Configuration", "Files", "Graphs", "Images", "Network", "Tensors"],
      libraries: [systemPackage]),
    room("Datasets", ["Archives", "Files", "Images", "Tensors"], shims: ["Kernels"]),
    room("Training", ["Execution", "Datasets", "Images", "Network", "Ranks", "Tensors"]),
    room(
      "Recipes",
      ["Configuration", "Console", "Datasets", "Images", "Network", "Training", "Tensors"]),
    room(
      "Inference",
      [
        "Backbones", "Checkpoints", "Configuration", "Console", "Datasets", "Execution", "Files",
        "Graphs", "Images", "Network", "OneDNN", "Ranks", "Recipes", "Reference", "Tensors",
        "Training",
      ], libraries: [systemPackage]),
    room(
      "Answers",
      [
        "Archives", "Backbones", "Checkpoints", "Console", "Datasets", "Execution", "Files",
        "Images",
        "Inference", "Network", "OneDNN", "Recipes", "Reference", "Tensors", "Training",
      ], libraries: [systemPackage]),
    room(
      "Exports",
      [
        "Backbones", "Checkpoints", "Console", "Execution", "Files", "Graphs", "Images",
        "Inference", "Network", "Tensors", "Training",
      ], libraries: [systemPackage]),
    room(
      "Diagnosis",
      [
        "Backbones", "Checkpoints", "Console", "Datasets", "Execution", "Files", "Images",
        "Inference", "Network", "OneDNN", "Ranks", "Recipes", "Reference", "Tensors", "Training",
      ], libraries: [systemPackage]),
    room(
      "Reports",
      [
        "Backbones", "Console", "Datasets", "Diagnosis", "Execution", "Files", "Images",
        "Inference", "Network", "Recipes", "Training",
      ], libraries: [systemPackage]),
    room(
      "Runs",
      [
        "Answers", "Backbones", "Checkpoints", "Configuration", "Console", "Datasets", "Diagnosis",
        "Execution", "Files", "Graphs", "Images", "Inference", "Network", "OneDNN", "Ranks",
        "Recipes", "Reference", "Reports", "Tensors", "Training",
      ], libraries: [systemPackage]),
    room(
      "Followers",
      [
        "Backbones", "Console", "Files", "Inference", "OneDNN", "Ranks", "Recipes", "Runs",
        "Search",
        "Training",
      ], libraries: [systemPackage]),
    room(
      "Search",
      [
        "Backbones", "Configuration", "Console", "Datasets", "Diagnosis", "Execution", "Files",
        "Images", "Inference", "Network", "OneDNN", "Ranks", "Recipes", "Reports", "Runs",
        "Tensors", "Training",
      ], libraries: [systemPackage]),
    room(
      "Review",
      [
        "Answers", "Checkpoints", "Console", "Datasets", "Diagnosis", "Execution", "Files",
        "Images", "Inference", "Network", "OneDNN", "Recipes", "Reports", "Runs", "Search",
        "Tensors",
        "Training",
      ], libraries: [systemPackage]),
    room(
      "Planning",
      [
        "Backbones", "Console", "Datasets", "Execution", "Files", "Inference", "Network", "OneDNN",
        "Recipes", "Runs", "Search", "Tensors", "Training",
      ], libraries: [systemPackage]),
    room(
      "Quantization",
      [
        "Archives", "Backbones", "Checkpoints", "Console", "Datasets", "Execution", "Files",
        "Images", "Inference", "Network", "OneDNN", "Recipes", "Reference", "Runs", "Tensors",
        "Training",
      ], libraries: [systemPackage]),
    room("Scaling", ["Execution", "Inference", "Ranks", "Recipes", "Runs", "Training"]),
    // The one module with a public surface.
    .target(
      name: "Thaw",
      dependencies: targets([
        "Answers", "Backbones", "Checkpoints", "Console", "Datasets", "Execution", "Files",
        "Images",
        "Inference", "Network", "OneDNN", "Recipes", "Reference", "Runs", "Tensors", "Training",
      ]) + [logging, systemPackage],
      swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")]),
    .executableTarget(
      name: "ThawCommand",
      dependencies: [
        "ThawAnswers", "ThawArchives", "ThawBackbones", "ThawCheckpoints", "ThawConfiguration",
        "ThawConsole", "ThawDatasets", "ThawDiagnosis", "ThawExports", "ThawFiles", "ThawFollowers",
        "ThawGraphs",
        "ThawImages",
        "ThawInference",
        "ThawNetwork", "ThawPlanning", "ThawQuantization", "ThawRanks",
        "ThawRecipes", "ThawReports", "ThawReview",
        "ThawRuns", "ThawScaling", "ThawSearch", "ThawTraining", argumentParser, systemPackage,
      ],
      path: "Sources/Command"),

    // Measured against PyTorch and ONNX Runtime by `make bench`.
    .executableTarget(
      name: "thaw-bench",
      dependencies: [
        "ThawBackbones", "ThawCheckpoints", "ThawDatasets", "ThawExecution", "ThawImages",
        "ThawNetwork", "ThawOneDNN", "ThawQuantization", "ThawReference", "ThawSearch",
        "ThawTensors", "ThawTraining", argumentParser, systemPackage,
      ],
      path: "Benchmarks/thaw-bench"),

    // Tests.
    .target(
      name: "ThawTestSupport", dependencies: ["ThawTensors", systemPackage],
      path: "Tests/TestSupport"),
    // A backbone of made-up weights and photos to go with it: no test needs a download.
    .target(
      name: "ThawTinyBackbone",
      dependencies: targets(["Backbones", "Checkpoints", "Files", "Images", "Network", "Tensors"])
        + [systemPackage],
      path: "Tests/TinyBackbone"),
    // Ranks that are threads of one process: no test of the sums needs MPI.
    .target(
      name: "ThawRankThreads", dependencies: targets(["Ranks"]), path: "Tests/RankThreads"),
    // Uses the library as another program does, in a process of its own.
    .executableTarget(
      name: "thaw-test-tool",
      dependencies: ["Thaw", "ThawTinyBackbone", systemPackage] + targets(["OneDNN"]),
      path: "Tests/TestTool"),
    tests(of: "Tensors", ["Tensors"]),
    tests(of: "Files", ["Files"], libraries: [systemPackage]),
    tests(of: "Configuration", ["Configuration"]),
    tests(of: "Console", ["Console"]),
    tests(of: "Images", ["Images", "Tensors"], resources: [.copy("Fixtures")]),
    tests(of: "Network", ["Network", "Tensors"]),
    tests(
      of: "Execution", ["Execution", "Network", "OneDNN", "Reference", "Tensors"],
      resources: [.copy("Fixtures")]),
    tests(
      of: "Checkpoints", ["Checkpoints", "Files", "Network", "Tensors"],
      resources: [.copy("Fixtures")]),
    tests(
      of: "Backbones",
      [
        "Backbones", "Checkpoints", "Configuration", "Execution", "Files", "Graphs", "Images",
        "Inference", "Network", "OneDNN", "Reference", "Tensors",
      ], libraries: [systemPackage], resources: [.copy("Fixtures")]),
    tests(
      of: "Datasets", ["Archives", "Datasets", "Files", "Images", "Tensors"],
      resources: [.copy("Fixtures")]),
    tests(
      of: "Training",
      ["Training", "Execution", "Images", "Network", "OneDNN", "Ranks", "Reference", "Tensors"],
      libraries: ["ThawRankThreads"], resources: [.copy("Fixtures")]),
    tests(of: "Scaling", ["Scaling"]),
    tests(of: "Ranks", ["Ranks", "Files"], libraries: ["ThawRankThreads", systemPackage]),
    tests(
      of: "Diagnosis",
      [
        "Diagnosis", "Checkpoints", "Datasets", "Execution", "Network", "OneDNN", "Ranks",
        "Reference", "Tensors", "Training",
      ], libraries: ["ThawRankThreads", systemPackage]),
    tests(
      of: "Reports",
      [
        "Reports", "Backbones", "Console", "Datasets", "Diagnosis", "Files", "Inference",
        "Network", "Recipes", "Training",
      ], libraries: [systemPackage]),
    tests(
      of: "Recipes",
      ["Recipes", "Configuration", "Console", "Files", "Images", "Network", "Training"],
      resources: [.copy("Fixtures")]),
    tests(
      of: "Inference",
      [
        "Inference", "Backbones", "Checkpoints", "Console", "Files", "Images", "Network", "Tensors",
        "Training",
      ], libraries: [systemPackage]),
    tests(
      of: "Answers",
      [
        "Answers", "Backbones", "Checkpoints", "Console", "Execution", "Files", "Images",
        "Inference", "Network", "OneDNN", "Reference", "Tensors",
      ], libraries: ["ThawTinyBackbone", systemPackage]),
    tests(
      of: "Exports",
      [
        "Exports", "Backbones", "Checkpoints", "Console", "Files", "Inference", "Network",
        "Tensors",
      ], libraries: ["ThawTinyBackbone", systemPackage]),
    tests(
      of: "Runs",
      [
        "Runs", "Backbones", "Checkpoints", "Configuration", "Console", "Datasets", "Execution",
        "Files", "Images", "Inference", "Network", "OneDNN", "Recipes", "Reference", "Tensors",
        "Training",
      ], libraries: [systemPackage]),
    tests(
      of: "Search",
      [
        "Search", "Backbones", "Configuration", "Console", "Datasets", "Files", "Images",
        "Inference", "Ranks", "Recipes", "Reports", "Runs", "Tensors", "Training",
      ], libraries: ["ThawRankThreads", "ThawTinyBackbone", systemPackage]),
    tests(
      of: "Planning",
      [
        "Planning", "Backbones", "Console", "Files", "Inference", "Recipes", "Runs", "Search",
        "Tensors", "Training",
      ], libraries: ["ThawTinyBackbone", systemPackage]),
    tests(
      of: "Quantization",
      [
        "Quantization", "Backbones", "Checkpoints", "Console", "Datasets", "Execution", "Exports",
        "Files", "Graphs", "Images", "Inference", "Network", "OneDNN", "Recipes", "Reference",
        "Runs",
        "Tensors", "Training",
      ], libraries: ["ThawTinyBackbone", "CThawKernels", systemPackage]),
    // The built command is a dependency so that it is built, not to be linked.
    tests(
      of: "Command",
      [
        "Backbones", "Checkpoints", "Files", "Images", "Network", "OneDNN", "Recipes", "Tensors",
        "Training",
      ],
      libraries: ["ThawCommand", "ThawTinyBackbone"], resources: [.copy("Fixtures")]),
    // The tool is a dependency so that it is built, not to be linked.
    tests(
      of: "Thaw",
      [
        "Answers", "Backbones", "Checkpoints", "Console", "Exports", "Files", "Images", "Inference",
        "Network", "Recipes", "Runs", "Tensors",
      ],
      libraries: ["Thaw", "ThawTinyBackbone", "thaw-test-tool", logging, systemPackage]),
  ]
)

// What single make targets need and nobody who depends on Thaw should fetch or build.
if Context.environment["THAW_FUZZ"] != nil {
  // `make fuzz`, linked with libFuzzer.
  package.targets.append(
    .executableTarget(
      name: "thaw-fuzz",
      dependencies: [
        "ThawArchives", "ThawBackbones", "ThawCheckpoints", "ThawConsole", "ThawDatasets",
        "ThawFiles",
        "ThawGraphs", "ThawImages", "ThawInference", "ThawNetwork", "ThawTensors", systemPackage,
      ],
      path: "Fuzzing/thaw-fuzz"))
}
if Context.environment["THAW_DOCS"] != nil {
  // `make docs`.
  package.dependencies.append(
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"))
}
