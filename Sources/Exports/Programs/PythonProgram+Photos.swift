// SPDX-License-Identifier: Apache-2.0

extension PythonProgram {
  /// From the bytes of a photo to the numbers that go into the network, as Thaw has them.
  static let photos = #"""
    FILTERS = {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }
    JPEGS = ("JPEG", "MPO")
    Image.MAX_IMAGE_PIXELS = None  # the limit of the contract is checked below


    def geometry(width, height, contract):
        """The size a photo is resized to, and the corner of the square that is cut from it."""
        side = contract["input_size"]
        target = int(side / contract["crop_fraction"])
        if contract["resize_rule"] == "squash":
            size = (target, target)
        elif width <= height:
            size = (target, target * height // width)
        else:
            size = (target * width // height, target)
        return size, tuple(round((length - side) / 2) for length in size)


    def reduced(photo, upright, contract):
        """Has a large JPEG decoded at 1/2, 1/4 or 1/8, and says which."""
        if photo.format not in JPEGS:
            return 1
        limit = contract.get("max_pixels", 89478485)
        wanted = [4 * length for length in geometry(*upright, contract)[0]]

        def scaled(by):
            return [-(-length // by) for length in upright]

        divisor = 1
        if contract["interpolation"] != "nearest":
            fitting = (d for d in (8, 4, 2) if all(s >= w for s, w in zip(scaled(d), wanted)))
            divisor = next(fitting, 1)
        divisor = max(divisor, next((d for d in (1, 2, 4) if math.prod(scaled(d)) <= limit), 8))
        if divisor > 1:
            photo.draft(photo.mode, [length // divisor for length in photo.size])
        return divisor


    def in_srgb(photo, profile, has_colours):
        """The colours of an embedded profile as sRGB's; `photo` is RGB or CMYK."""
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space != photo.mode and (space != "GRAY" or photo.mode == "CMYK" or has_colours):
                return photo
            mode = "L" if space == "GRAY" else photo.mode
            change = ImageCms.buildTransform(
                source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        except (OSError, ImageCms.PyCMSError):
            return photo
        if mode != "CMYK":
            # A profile that moves nothing by more than 1 is sRGB's.
            steps = numpy.arange(9) * 255 // 8
            cube = numpy.stack(numpy.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
            cube = Image.fromarray(cube.astype(numpy.uint8))
            moved = numpy.asarray(ImageCms.applyTransform(cube.convert(mode), change))
            before = numpy.asarray(cube.convert(mode).convert("RGB"))
            if numpy.abs(moved.astype(int) - before).max() <= 1:
                return photo
        return ImageCms.applyTransform(photo.convert(mode), change)


    def read(data, contract):
        """The photo as Pillow's RGB image, upright, and the fraction of its size that it has."""
        photo = Image.open(io.BytesIO(data))
        exif = photo.getexif() if photo.format in JPEGS else {}
        turned = exif.get(0x112, 1) in (5, 6, 7, 8)
        size = photo.size[::-1] if turned else photo.size
        divisor = reduced(photo, size, contract)
        if math.prod(photo.size) > contract.get("max_pixels", 89478485):
            raise ValueError(f"{photo.size} pixels are more than the contract allows")
        profile = photo.info.get("icc_profile")
        photo.load()
        oriented = ImageOps.exif_transpose(photo)
        size = oriented.size if divisor == 1 else size
        grey = oriented.mode in ("1", "L", "LA", "La", "I", "I;16", "I;16B")
        if oriented.mode.startswith("I"):
            oriented = Image.fromarray((numpy.asarray(oriented) >> 8).astype(numpy.uint8))
        if oriented.mode == "P" or oriented.has_transparency_data:
            colour = tuple(contract["background"][name] for name in ("red", "green", "blue"))
            oriented = oriented.convert("RGBA")
            ground = Image.new("RGBA", oriented.size, colour + (255,))
            oriented = Image.alpha_composite(ground, oriented).convert("RGB")
        elif oriented.mode not in ("RGB", "CMYK"):
            oriented = oriented.convert("RGB")
        if profile and contract.get("color_profiles") == "srgb":
            oriented = in_srgb(oriented, profile, not grey)
        return oriented.convert("RGB"), size, divisor


    def square(data, contract):
        """What of the photo the network sees: uint8 [side, side, 3]."""
        photo, size, divisor = read(data, contract)
        target, (left, top) = geometry(*size, contract)
        box = (0, 0, size[0] / divisor, size[1] / divisor)
        resized = photo.resize(target, FILTERS[contract["interpolation"]], box=box)
        side = contract["input_size"]
        return numpy.asarray(resized.crop((left, top, left + side, top + side)))


    def normalised(pixels, contract):
        """Float32 [3, side, side] of a square."""
        values = pixels.astype(numpy.float64)
        if contract["channel_order"] == "bgr":
            values = values[..., ::-1]
        values = (values * contract["scale"] - contract["mean"]) / contract["std"]
        return values.transpose(2, 0, 1).astype(numpy.float32)

    """#
}
