// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// A Swift target of the pipeline; the order of the list is the order of the data (ARCHITECTURE.md).
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(
    name: name, dependencies: dependencies,
    swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")])
}

/// The tests of one target; they see what every client sees plus `package` declarations.
func tests(of name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [])
  -> Target
{
  .testTarget(
    name: "\(name)Tests", dependencies: ["TestSupport"] + dependencies, resources: resources)
}

let package = Package(
  name: "thaw",
  products: [
    .executable(name: "thaw", targets: ["thaw"]),
    .library(name: "ThawPipeline", targets: ["Pipeline"]),
    .library(
      name: "ThawInference",
      targets: ["Images", "Network", "Execution", "Checkpoints", "Backbones"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    // C libraries behind small, checked, prefixed functions.
    .target(name: "COneDNN", linkerSettings: [.linkedLibrary("dnnl"), .linkedLibrary("gomp")]),
    .target(name: "CKernels"),
    .target(name: "CHashes"),
    .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("openblas")]),
    .target(
      name: "CImageCodecs", linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png")]),
    .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),

    // The pipeline.
    module("Tensors", ["COpenBLAS"]),
    module("Files", ["CHashes", .product(name: "SystemPackage", package: "swift-system")]),
    module("Configuration", [.product(name: "Yams", package: "Yams")]),
    module("Images", ["Tensors", "CImageCodecs"]),
    module("Network", ["Tensors"]),
    module("Execution", ["Network", "Tensors", "COneDNN", "CKernels"]),
    module("Checkpoints", ["Files", "Tensors", "Network", "CZlib"]),
    module("Backbones", ["Configuration", "Files", "Network", "Checkpoints", "Images"]),
    module("Datasets", ["Files", "Images", "Tensors"]),
    module("Training", ["Execution", "Datasets", "Images", "Network", "Tensors"]),
    module("Diagnosis", ["Execution", "Datasets", "Network", "Tensors"]),
    module("Reports", ["Tensors"]),
    module(
      "Pipeline",
      [
        "Files", "Tensors", "Images", "Network", "Execution", "Checkpoints", "Backbones",
        "Datasets", "Training", "Diagnosis", "Reports", "Configuration",
      ]),
    .executableTarget(
      name: "thaw",
      dependencies: [
        "Backbones", "Checkpoints", "Datasets", "Diagnosis", "Files", "Images", "Network",
        "Pipeline",
        "Reports", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SystemPackage", package: "swift-system"),
      ]),

    // Measured against PyTorch and ONNX Runtime by `make bench`.
    .executableTarget(
      name: "thaw-bench",
      dependencies: [
        "Tensors", "Images", "Network", "Execution", "Checkpoints", "Backbones", "Datasets",
        "Training", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Benchmarks/thaw-bench"),

    // Tests.
    .target(
      name: "TestSupport",
      dependencies: ["Tensors", .product(name: "SystemPackage", package: "swift-system")],
      path: "Tests/TestSupport"),
    tests(of: "Tensors", ["Tensors"]),
    tests(of: "Files", ["Files", .product(name: "SystemPackage", package: "swift-system")]),
    tests(of: "Configuration", ["Configuration"]),
    tests(of: "Images", ["Images", "Tensors"], resources: [.copy("Fixtures")]),
    tests(of: "Network", ["Network", "Tensors"]),
    tests(of: "Execution", ["Execution", "Network", "Tensors"], resources: [.copy("Fixtures")]),
    tests(
      of: "Checkpoints", ["Checkpoints", "Files", "Network", "Tensors"],
      resources: [.copy("Fixtures")]),
    tests(
      of: "Backbones",
      [
        "Backbones", "Checkpoints", "Execution", "Files", "Images", "Network", "Tensors",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      resources: [.copy("Fixtures")]),
    tests(of: "Datasets", ["Datasets", "Files", "Images", "Tensors"]),
    tests(
      of: "Training", ["Training", "Execution", "Images", "Network", "Tensors"],
      resources: [.copy("Fixtures")]),
    tests(
      of: "Diagnosis",
      ["Diagnosis", "Checkpoints", "Datasets", "Execution", "Network", "Tensors"]),
    tests(of: "Reports", ["Reports"]),
    tests(
      of: "Pipeline",
      [
        "Pipeline", "Configuration", "Files", "Tensors", "Images", "Network", "Datasets",
        "Checkpoints", "Backbones", "Training",
      ]),
    // The built command is a dependency so that it is built, not to be linked.
    tests(
      of: "Command",
      ["thaw", "Files", "Images", "Network", "Tensors", "Checkpoints", "Backbones", "Training"]),
  ]
)
