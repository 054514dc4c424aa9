// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, so that nobody who depends on Thaw builds it. `make fuzz` builds it with
// libFuzzer and the address sanitizer, which also instruments the package above.
let package = Package(
  name: "thaw-fuzz",
  dependencies: [
    .package(name: "thaw", path: ".."),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
  ],
  targets: [
    .executableTarget(
      name: "thaw-fuzz",
      dependencies: [
        .product(name: "ThawInference", package: "thaw"),
        .product(name: "SystemPackage", package: "swift-system"),
      ])
  ]
)
