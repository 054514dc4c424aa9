// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
  name: "train",
  dependencies: [.package(name: "thaw", path: "../..")],
  targets: [
    .executableTarget(
      name: "TrainExample", dependencies: [.product(name: "Thaw", package: "thaw")])
  ]
)
