// SPDX-License-Identifier: Apache-2.0

import ThawImages

/// Step 1: the contract in words that can be followed without our code.
extension ExportReadme {
  private var contract: Preprocessing { model.preprocessing }

  var photos: String {
    let steps = [decoding, scaling, colours, resizing, cutting, numbers]
    return """
      ## 1. From a photo to numbers

      \(contract.description). Step by step, with what does it in Pillow 13 (earlier versions resize tall photos in \
      another order, which moves samples by a level):

      \(steps.enumerated().map { "\($0 + 1). \($1)" }.joined(separator: "\n"))

      """
  }

  private var decoding: String {
    "**Decode** the first frame or page (`Image.open`), by libjpeg's accurate DCT and smooth upsampling, which are"
      + " Pillow's. Turn it upright by its EXIF orientation (`ImageOps.exif_transpose`; do 1.2 before). Of 16-bit grey"
      + " samples "
      + (contract.reading.stretchesSixteenBits
        ? "keep 8 bits: shifted right by 0, 2, 4, 6 or 8, the least with which the largest sample of the photo is"
          + " below 256 (Pillow gives no more than the high byte of 16-bit colours: use another reader for those)."
        : "keep the high byte (`>> 8`; `convert(\"RGB\")` would not).")
      + " JPEGs of four inks are inverted, as Adobe stores them and Pillow reads them. Files with more than"
      + " \(contract.reading.maximumPixels) pixels are refused, but see 1.2."
  }

  private var scaling: String {
    if contract.interpolation == .nearest {
      return "JPEGs are decoded at their full size, but for those of more than"
        + " \(contract.reading.maximumPixels) pixels: at the largest of 1/2, 1/4, 1/8 that has no more (sides rounded"
        + " up)."
    }
    return
      "**Large JPEGs are decoded at a fraction** d of their size, as libjpeg can (`image.draft(image.mode, (width"
      + " // d, height // d))` before pixels are read): the largest d of 8, 4 and 2 with ceil(width / d) >= 4 w and"
      + " ceil(height / d) >= 4 h, w and h being the size that 1.4 resizes to and width and height the upright photo's; 1"
      + " where none fits. For more than \(contract.reading.maximumPixels) pixels d is at least so large that"
      + " ceil(width / d) ceil(height / d) is no more."
  }

  private var colours: String {
    let background = contract.background
    let ground =
      "Transparent pixels are laid on red \(background.red), green \(background.green), blue \(background.blue)"
      + " (`Image.alpha_composite` of the RGBA image on one of that colour); then it is RGB (`convert(\"RGB\")`)."
    guard contract.reading.convertsProfiles else {
      return "**Colours.** \(ground) Embedded colour profiles are ignored."
    }
    return
      "**Colours.** \(ground) Where the file has a colour profile (`image.info[\"icc_profile\"]`) that fits its"
      + " channels, the colours become sRGB's, perceptual intent (`ImageCms.buildTransform(profile, sRGB, mode,"
      + " \"RGB\", Intent.PERCEPTUAL)`): of RGB after the background, of CMYK from the inks, of grey where the photo is"
      + " grey. A profile of RGB or grey that moves no colour of a 9 x 9 x 9 grid (levels k * 255 // 8) by more than"
      + " 1 is left alone, and one that cannot be used is ignored."
  }

  private var resizing: String {
    let target = contract.resizeTarget
    let size =
      contract.resizeRule == .squash
      ? "w = h = \(target)"
      : "the shorter side becomes \(target), the longer \(target) * longer // shorter (whole numbers, rounded down;"
        + " width and height of the upright photo at full size)"
    let filter =
      contract.interpolation == .nearest
      ? "the nearest sample" : "\(contract.interpolation.rawValue) with antialiasing"
    return "**Resize**, \(filter): \(size). That is `image.resize((w, h), Image.Resampling"
      + ".\(contract.interpolation.rawValue.uppercased()), box=(0, 0, width / d, height / d))`, with d of 1.2. Other"
      + " libraries' filters of that name give other samples."
  }

  private var cutting: String {
    let side = contract.inputSize
    return
      "**Cut** the square of \(side) x \(side) from the middle: it begins at column (w - \(side)) / 2 and row"
      + " (h - \(side)) / 2, halves rounded to the even number (Python's `round`). Its samples are bytes."
  }

  private var numbers: String {
    let order = contract.channelOrder == .rgb ? "red, green, blue" : "blue, green, red"
    return
      "**Numbers**: (x * \(contract.scale) - mean) / std in double precision, then Float32, with mean"
      + " \(contract.mean) and std \(contract.std) for the channels in the order \(order). The order of dimensions is"
      + " channel, row, column."
  }
}
