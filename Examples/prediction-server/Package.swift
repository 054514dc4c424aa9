// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
  name: "prediction-server",
  dependencies: [
    .package(name: "thaw", path: "../.."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0"),
  ],
  targets: [
    .executableTarget(
      name: "PredictionServer",
      dependencies: [
        .product(name: "Thaw", package: "thaw"),
        .product(name: "Hummingbird", package: "hummingbird"),
      ])
  ]
)
