// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages
import ThawTestSupport

@Suite struct PreprocessingTests {
  private func values(
    _ contract: Preprocessing, _ image: RGBImage, view: View = .center
  ) -> [Float] {
    var output = [Float](repeating: .nan, count: contract.elementCount)
    output.withUnsafeMutableBufferPointer { contract.preprocess(image, view: view, into: $0) }
    return output
  }

  // By hand for red 10, green 100, blue 250.
  private static let torchValues: [Double] = [
    (0.0392156862745098 - 0.485) / 0.229, (0.392156862745098 - 0.456) / 0.224,
    (0.980392156862745 - 0.406) / 0.225,
  ]
  private static let families: [(Preprocessing, [Double])] = [
    (Preprocessing.caffe(inputSize: 2), [146.061, -16.779, -113.68]),
    (Preprocessing.torch(inputSize: 2), torchValues),
    (
      Preprocessing.tf(inputSize: 2),
      [-0.9215686274509803, -0.21568627450980393, 0.9607843137254902]
    ),
    (Preprocessing.efficientNetLite(inputSize: 2), [-0.9140625, -0.2109375, 0.9609375]),
    (
      Preprocessing.unit(inputSize: 2),
      [0.0392156862745098, 0.392156862745098, 0.980392156862745]
    ),
    (Preprocessing.raw(inputSize: 2), [10, 100, 250]),
  ]

  @Test(arguments: families)
  func everyFamilyMatchesTheHandComputedValues(_ contract: Preprocessing, _ expected: [Double]) {
    let color = RGBColor(red: 10, green: 100, blue: 250)
    let image = RGBImage(size: PixelSize(width: 5, height: 3), filledWith: color)
    let planes = expected.flatMap { [Double](repeating: $0, count: 4) }
    expectClose(values(contract, image).map(Double.init), planes, relative: 1e-6)
  }

  @Test func outputIsPlanarAndRowsRunFromTheTop() {
    let contract = Preprocessing(
      inputSize: 4, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], cropFraction: 1)
    let image = ImageFixtures.pattern(4, 4)
    let output = values(contract, image)
    for y in 0..<4 {
      for x in 0..<4 {
        #expect(output[y * 4 + x] == Float(image[x, y].red))
        #expect(output[16 + y * 4 + x] == Float(image[x, y].green))
        #expect(output[32 + y * 4 + x] == Float(image[x, y].blue))
      }
    }
  }

  @Test func geometryIsTorchvisionsResizeAndCentreCrop() {
    let lite = Preprocessing.efficientNetLite()
    #expect(lite.resizeTarget == 256)
    let (resized, crop) = lite.geometry(of: PixelSize(width: 500, height: 375))
    #expect(resized == PixelSize(width: 341, height: 256))
    // (341 - 224) / 2 = 58.5 rounds to even.
    #expect(crop.x == 58 && crop.y == 16 && crop.size == PixelSize(width: 224, height: 224))
    let odd = lite.geometry(of: PixelSize(width: 343, height: 256))
    #expect(odd.crop.x == 60)  // 59.5 rounds to even
    #expect(Preprocessing.torch(inputSize: 299, cropFraction: 0.95).resizeTarget == 314)
  }

  @Test func prepareEqualsDecodeResizeCropNormalise() throws {
    let bytes = try ImageFixtures.bytes("jpeg/orientation-7.jpg")
    let contract = Preprocessing.efficientNetLite(inputSize: 32)
    var output = [Float](repeating: .nan, count: 2 * contract.elementCount)
    let prepared = try output.withUnsafeMutableBufferPointer { (buffer) throws(ImageError) in
      try bytes.withUnsafeBufferPointer { (raw) throws(ImageError) in
        try contract.prepare(
          UnsafeRawBufferPointer(raw), views: [.center, .flippedCenter], into: buffer)
      }
    }
    let image = try ImageDecoder.decode(bytes).image
    #expect(prepared.originalSize == image.size && prepared.format == .jpeg)
    let whole = image.resized(to: PixelSize(width: 36, height: 78), interpolation: .bicubic)
    let square = whole.cropped(
      to: PixelRectangle(x: 2, y: 23, size: PixelSize(width: 32, height: 32)))
    var expected: [Double] = []
    for c in 0..<3 {
      for pixel in 0..<1024 { expected.append((Double(square.pixels[pixel * 3 + c]) - 127) / 128) }
    }
    let mirrored = (0..<3072).map { (index: Int) -> Double in
      expected[index / 32 * 32 + 31 - index % 32]
    }
    expectClose(output.map(Double.init), expected + mirrored)
  }

  @Test func scaledDecodingChangesLittleAndOnlyWhenMuchLarger() throws {
    let large = ImageFixtures.smooth(400, 300)
    let bytes = try JPEGEncoder.encode(large, quality: 95)
    for (size, isScaled) in [(64, false), (32, true), (8, true)] {
      let contract = Preprocessing.torch(inputSize: size)
      let results = try [false, true].map { scaled in
        var output = [Float](repeating: .nan, count: contract.elementCount)
        try output.withUnsafeMutableBufferPointer { buffer in
          _ = try bytes.withUnsafeBytes { raw in
            try contract.prepare(raw, scaledDecoding: scaled, into: buffer)
          }
        }
        return output
      }
      #expect((results[0] != results[1]) == isScaled, "size \(size)")
      // Five levels of 255, divided by the standard deviation.
      expectClose(results[1], results[0], relative: 0, absolute: 5.0 / 255 / 0.22)
    }
  }

  @Test func backgroundOfTheContractIsUsed() throws {
    let bytes = try ImageFixtures.bytes("alpha/ramp.png")
    var contract = Preprocessing(
      inputSize: 8, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], resizeRule: .squash,
      background: .black)
    var corner: [Float] = []
    for background in [RGBColor.black, .white] {
      contract = Preprocessing(
        inputSize: 8, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], resizeRule: .squash,
        background: background)
      var output = [Float](repeating: .nan, count: contract.elementCount)
      try output.withUnsafeMutableBufferPointer { buffer in
        _ = try bytes.withUnsafeBytes { try contract.prepare($0, into: buffer) }
      }
      corner.append(output[0])
    }
    #expect(corner[1] - corner[0] > 150)
  }

  @Test func jsonIsStableAndReadsBack() throws {
    let lite = Preprocessing.efficientNetLite()
    #expect(
      lite.json == #"{"background":{"blue":255,"green":255,"red":255},"channel_order":"rgb","#
        + #""crop_fraction":0.875,"input_size":224,"interpolation":"bicubic","mean":[127,127,127],"#
        + #""resize_rule":"shorterSide","scale":1,"std":[128,128,128]}"#)
    for contract in [lite, .caffe(), .torch(), .tf(inputSize: 299)] {
      #expect(try Preprocessing(json: contract.json) == contract)
    }
    #expect(lite.withInputSize(160).json != lite.json)
  }

  @Test func impossibleContractsAreRefusedWithAReason() throws {
    let good = Preprocessing.torch().json
    for (old, new, reason) in [
      ("\"input_size\":224", "\"input_size\":0", "input size 0"),
      ("0.229,0.224,0.225", "0.229,0,0.225", "std"),
      ("0.485,0.456,0.406", "0.485,0.456", "three values"),
      ("\"crop_fraction\":0.875", "\"crop_fraction\":1.5", "crop fraction 1.5"),
    ] {
      let bad = good.replacingOccurrences(of: old, with: new)
      #expect(bad != good)
      do {
        _ = try Preprocessing(json: bad)
        Issue.record("accepted \(new)")
      } catch { #expect("\(error)".contains(reason)) }
    }
  }

  @Test func descriptionsReadAsTheFormula() {
    #expect(
      Preprocessing.efficientNetLite().description
        == "224 x 224 RGB, (x - 127) / 128, bicubic, shorter side 256, centre crop")
    #expect(Preprocessing.caffe().description.contains("BGR, x - [103.939, 116.779, 123.68], "))
    #expect(Preprocessing.tf().description.contains("RGB, x / 127.5 - 1, "))
    #expect(
      Preprocessing.torch().description.contains(
        "(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], "))
  }

  @Test func candidatesShareTheGeometryAndDifferInNumbers() {
    let declared = Preprocessing.efficientNetLite(inputSize: 160)
    let candidates = Preprocessing.candidates(like: declared)
    #expect(
      candidates.map(\.name) == ["efficientnet-lite", "torch", "tf", "caffe", "unit", "raw"])
    #expect(candidates[0].preprocessing == declared)
    #expect(Set(candidates.map(\.preprocessing)).count == 6)
    for candidate in candidates {
      #expect(candidate.preprocessing.inputSize == 160)
      #expect(candidate.preprocessing.interpolation == .bicubic)
    }
    let own = Preprocessing(inputSize: 32, scale: 1, mean: [1, 2, 3], std: [4, 5, 6])
    #expect(Preprocessing.candidates(like: own).map(\.name).first == "declared")
    #expect(Preprocessing.candidates(like: own).count == 7)
  }
}

extension ImageFixtures {
  /// Slow colour waves, as a photo without noise.
  static func smooth(_ width: Int, _ height: Int) -> RGBImage {
    RGBImage(size: PixelSize(width: width, height: height)) { pixels in
      for index in 0..<pixels.count {
        let (c, x, y) = (index % 3, index / 3 % width, index / 3 / width)
        let wave = sin(Double(x) / Double(9 + c)) + cos(Double(y) / Double(14 - c))
        pixels[index] = UInt8(127 + 60 * wave)
      }
    }
  }
}
