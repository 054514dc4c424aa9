// SPDX-License-Identifier: Apache-2.0

extension PythonProgram {
  /// The session, its answers, and the command line.
  static let model = #"""
    class Model:
        """The file, what it says of itself, and its answers."""

        def __init__(self, path):
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            texts = self.session.get_modelmeta().custom_metadata_map
            self.contract = json.loads(texts["thaw.preprocessing"])
            self.classes = json.loads(texts["thaw.class_names"])
            self.activation = texts.get("thaw.output_activation", "softmax")
            self.thresholds = json.loads(texts.get("thaw.thresholds", "[]"))
            calibration = json.loads(texts.get("thaw.calibration", "{}"))
            self.temperature = calibration.get("temperature", {}).get("value", 1)
            self.test = json.loads(texts["thaw.test_vector"])

        def run(self, pixels):
            """Probabilities of the classes, and their logits where the file gives them, of a square."""
            value = self.session.get_inputs()[0]
            bytes_go_in = value.type == "tensor(uint8)"
            one = pixels if bytes_go_in else normalised(pixels, self.contract)
            names = [output.name for output in self.session.get_outputs()]
            results = dict(zip(names, self.session.run(None, {value.name: one[None]})))
            logits = results["logits"][0] if "logits" in results else None
            if self.activation == "single_sigmoid" and logits is not None:
                logits = numpy.array([0, logits[0]], numpy.float32)
            if "probabilities" not in results:
                return self.probabilities(logits), logits
            probabilities = results["probabilities"][0]
            if self.activation == "single_sigmoid":
                probabilities = numpy.array([1 - probabilities[0], probabilities[0]])
            return probabilities, logits

        def probabilities(self, logits):
            values = logits.astype(numpy.float64)
            if self.activation == "independent_sigmoids":
                return 1 / (1 + numpy.exp(-values))
            powers = numpy.exp((values - values.max()) / self.temperature)
            return powers / powers.sum()

        def answer(self, probabilities):
            """Labels by the thresholds, and the five most probable classes."""
            order = sorted(range(len(self.classes)), key=lambda index: (-probabilities[index], index))
            ranked = [
                {"label": self.classes[index], "probability": float(probabilities[index])}
                for index in order]
            if self.activation == "independent_sigmoids":
                limits = self.thresholds or [0.5] * len(order)
                return {
                    "labels": [
                        one for index, one in zip(order, ranked)
                        if probabilities[index] >= limits[index]],
                    "top": ranked[:5]}
            chosen = self.decision(probabilities, order)
            return {
                "label": "undecided" if chosen is None else self.classes[chosen],
                "probability": None if chosen is None else float(probabilities[chosen]),
                "top": ranked[:5]}

        def decision(self, probabilities, order):
            if not self.thresholds:
                return order[0]
            limits = self.thresholds
            reached = [k for k in range(len(order)) if 0 < limits[k] <= probabilities[k]]
            if reached:
                return max(reached, key=lambda k: (probabilities[k] / limits[k], -k))
            return None if limits[order[0]] > 0 else order[0]

        def compare(self):
            """Differences from the test vector: of bytes of the square, of logits, of probabilities."""
            x, y, c = numpy.meshgrid(
                numpy.arange(self.test["photo"]["width"]), numpy.arange(self.test["photo"]["height"]),
                numpy.arange(3))
            samples = (3 * x + 5 * y + x * y // (16 + c) + 85 * c) % 256
            file = io.BytesIO()
            Image.fromarray(samples.astype(numpy.uint8)).save(file, "PNG")
            pixels = square(file.getvalue(), self.contract)
            probabilities, logits = self.run(pixels)
            result = {
                "runtime": f"ONNX Runtime {onnxruntime.__version__}",
                "square": hashlib.sha256(pixels.tobytes()).hexdigest() == self.test["square_sha256"],
                "probabilities": worst(probabilities, self.test["probabilities"])}
            if logits is not None:
                result["logits"] = worst(logits, self.test["logits"])
            return result

        def agrees(self, result):
            scale = max(1, *(abs(logit) for logit in self.test["logits"]))
            return (
                result["square"] and result["probabilities"] <= 1e-4
                and result.get("logits", 0) <= 1e-3 * scale)


    def worst(found, expected):
        return float(numpy.abs(numpy.asarray(found, numpy.float64) - expected).max())


    def main(arguments):
        own = pathlib.Path(__file__).resolve()
        model = Model(str(own.with_name(own.name.removesuffix(".predict.py"))))
        if arguments[:1] == ["--test"]:
            result = model.compare()
            print(json.dumps(result))
            states = arguments[1:] == ["--report"] and result["square"]
            return 0 if states or model.agrees(result) else 1
        if not arguments or arguments[0] in ("-h", "--help"):
            print(__doc__)
            return 0 if arguments else 2
        status = 0
        for path in arguments:
            try:
                pixels = square(pathlib.Path(path).read_bytes(), model.contract)
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                print(f"{path}: {error}", file=sys.stderr)
                status = 1
                continue
            print(json.dumps({"path": path, **model.answer(model.run(pixels)[0])}, ensure_ascii=False))
        return status


    if __name__ == "__main__":
        sys.exit(main(sys.argv[1:]))

    """#
}
