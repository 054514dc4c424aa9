// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages

@Suite struct AugmentSettingsTests {
  private func decode(_ text: String) throws -> Augmentation {
    // Wrapped, because a bare string is no JSON document everywhere.
    try JSONDecoder().decode([Augmentation].self, from: Data("[\(text)]".utf8))[0]
  }

  @Test(arguments: Augmentation.Preset.allCases)
  func presetsAreSoundAndSurviveTheirText(_ preset: Augmentation.Preset) throws {
    let augmentation = Augmentation(preset)
    #expect(augmentation.flaw == nil)
    #expect(augmentation.preset == preset)
    #expect(augmentation.isActive == (preset != .none))
    #expect(try decode(augmentation.json) == augmentation)
    #expect(try decode("\"\(preset.rawValue)\"") == augmentation)
  }

  @Test func presetNamesAreFixed() {
    #expect(
      Augmentation.Preset.allCases.map(\.rawValue) == [
        "photo", "top-down", "document", "mirror", "crops", "none",
      ])
  }

  @Test func settingsChangeAPreset() throws {
    let changed = try decode(
      #"{"preset": "photo", "rotation_degrees": 25, "zoom": [0.9, 1.1], "random_crop": null}"#)
    var expected = Augmentation.photo
    expected.rotationDegrees = 25
    expected.zoom = 0.9...1.1
    expected.randomCrop = nil
    #expect(changed == expected)
    #expect(changed.preset == nil)
    #expect(try decode("{}") == .none)
  }

  @Test(arguments: [
    (#"{"rotation": 5}"#, "no setting 'rotation'"), (#""photos""#, "'photos'"),
    (#"{"preset": "x"}"#, "'x'"), (#"{"lighting": 1.5}"#, "lighting 1.5"),
    (#"{"warp": 0.8}"#, "warp 0.8"), (#"{"width_shift": -1}"#, "negative"),
    (#"{"zoom": [0, 1]}"#, "zoom"), (#"{"geometry_probability": 2}"#, "probability"),
    (#"{"random_crop": {"scale": [0.5, 2], "ratio": [1, 1]}}"#, "crop scale"),
    (
      #"{"erasing": {"probability": 1, "area": [0, 1], "ratio": [1, 1], "count": 0}}"#, "rectangles"
    ),
  ])
  func impossibleSettingsAreNamed(_ text: String, _ part: String) {
    let error = #expect(throws: DecodingError.self) { try decode(text) }
    #expect("\(error.map { "\($0)" } ?? "")".contains(part))
  }

  @Test func descriptionNamesEveryOperation() {
    #expect(Augmentation.none.description == "no augmentation")
    #expect(
      Augmentation.document.description
        == "document: perspective (corners move up to 5 %), rotation (up to 3°), width shift (up to "
        + "3 %), height shift (up to 3 %), zoom (factor 0.93 to 1.05), lighting (brightness and "
        + "contrast 0.3, 75 % of photos)")
    var all = Augmentation.topDown
    all.widthShift = 8
    all.shearDegrees = 5
    all.channelShift = 20
    all.brightness = 0.8...1.2
    all.saturation = 0.1
    all.erasing = .cutout(side: 0.25)
    #expect(
      all.operations.map(\.name) == [
        "random crop", "rotation", "width shift", "shear", "symmetries", "channel shift",
        "brightness", "lighting", "saturation", "erasing",
      ])
    #expect(all.operations.last?.range == "6.25 %")
    #expect(all.operations[2].range == "up to 8 pixels, 75 % of photos")
  }

  @Test func viewNamesTellSettingsSeedsAndNumbersApart() {
    let view = AugmentedView(.photo, seed: 1, number: 0)
    #expect(view.name == AugmentedView(.photo, seed: 1, number: 0).name)
    #expect(view.name.wholeMatch(of: /augmented-[0-9a-f]{16}-0/) != nil)
    var changed = Augmentation.photo
    changed.rotationDegrees = 10.5
    let others = [
      AugmentedView(changed, seed: 1, number: 0), AugmentedView(.photo, seed: 2, number: 0),
      AugmentedView(.photo, seed: 1, number: 1), AugmentedView(.topDown, seed: 1, number: 0),
    ]
    #expect(Set(([view] + others).map(\.name)).count == 5)
    #expect(AugmentedView.views(.photo, seed: 1, count: 3).map(\.number) == [0, 1, 2])
  }

  @Test func aViewDrawsWhatItsEpochWould() throws {
    let size = PixelSize(width: 100, height: 80)
    let view = AugmentedView(.photo, seed: 7, number: 3)
    #expect(
      view.draw(sample: 5, size: size, side: 32)
        == Augmentation.photo.draw(seed: 7, epoch: 3, sample: 5, size: size, side: 32))
  }
}
