// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTensors
import ThawTestSupport

@Suite struct TensorTests {
  @Test func shapesCountTheirElements() {
    #expect(Shape([2, 3, 4]).count == 24)
    #expect(Shape([]).count == 1)
    #expect(Shape([5, 0, 2]).count == 0)
    #expect(Shape([32, 3, 224, 224]).description == "[32, 3, 224, 224]")
  }

  @Test func impossibleShapesAreRefused() {
    #expect(Shape(checking: [2, -1]) == nil)
    #expect(Shape(checking: [Int.max, 2]) == nil)
    #expect(Shape(checking: [1 << 32, 1 << 31]) == nil)
    #expect(Shape(checking: [1 << 31, 1 << 31])?.count == 1 << 62)
  }

  @Test func impossibleShapesTrapWhenTheProgramMakesThem() async {
    await #expect(processExitsWith: .failure) { _ = Shape([-1]) }
    await #expect(processExitsWith: .failure) { _ = Shape([Int.max, 3]) }
  }

  @Test func aFreshTensorIsZeroAndAligned() {
    let tensor = Tensor<Float>(zeros: [3, 5])
    #expect(tensor.elements == [Float](repeating: 0, count: 15))
    tensor.withUnsafeElements {
      #expect(Int(bitPattern: $0.baseAddress) % 64 == 0)
    }
    #expect(Tensor<Double>(zeros: [0, 4]).elements.isEmpty)
  }

  @Test func writingACopyLeavesTheOriginalAlone() {
    let original = Tensor<Float>([1, 2, 3, 4], shape: [2, 2])
    var copy = original
    copy[1] = 9
    #expect(original.elements == [1, 2, 3, 4])
    #expect(copy.elements == [1, 9, 3, 4])
    var other = original.reshaped([4])
    other.withUnsafeMutableElements { $0[0] = 7 }
    #expect(original.elements == [1, 2, 3, 4])
    #expect(other.elements == [7, 2, 3, 4] && other.shape == [4])
  }

  @Test func aLoneTensorIsChangedInPlace() {
    var tensor = Tensor<Float>([1, 2], shape: [2])
    let before = tensor.withUnsafeElements { Int(bitPattern: $0.baseAddress) }
    tensor[0] = 5
    #expect(tensor.withUnsafeElements { Int(bitPattern: $0.baseAddress) } == before)
  }

  @Test func equalityNeedsEqualShapesAndElements() {
    let tensor = Tensor<Float>([1, 2, 3, 4], shape: [2, 2])
    #expect(tensor == Tensor([1, 2, 3, 4], shape: [2, 2]))
    #expect(tensor != tensor.reshaped([4]))
    #expect(tensor != Tensor([1, 2, 3, 5], shape: [2, 2]))
    let nan = Tensor<Float>([.nan], shape: [1])
    #expect(nan != nan)
  }

  @Test func conversionRoundsToNearest() {
    let tensor = Tensor<Double>([0.1, 1 + 0x1p-24, 1 + 0x1.8p-23, 1e300], shape: [4])
    let expected: [Float] = [0.1, 1, 1 + 0x1p-22, .infinity]
    #expect(tensor.converted(to: Float.self).elements == expected)
  }
}
