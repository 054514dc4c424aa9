// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// Asks the built programs over real connections (Server/check.sh builds them first). A package of its own:
// the server under test is the one that people use, and the tests build in seconds.
let package = Package(
  name: "thaw-serve-tests",
  targets: [.testTarget(name: "ThawServeTests", path: "ThawServeTests")]
)
