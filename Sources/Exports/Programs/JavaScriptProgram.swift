// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawImages
import ThawInference
import ThawNetwork

/// The module that is written beside an ONNX file for onnxruntime-web. A page cannot read a file's metadata
/// there, so what the model says of itself stands in the module.
enum JavaScriptProgram {
  /// The whole text.
  ///
  /// - Parameter bytesGoIn: whether the graph takes a square's bytes and normalises them itself.
  static func text(
    of model: StoredModel, test: TestVector, temperature: Double?, bytesGoIn: Bool
  ) -> String {
    let facts: [(String, String)] = [
      ("contract", model.preprocessing.json),
      ("classes", JSONValue.strings(model.record.classNames).serialized),
      ("activation", JSONValue.string(model.record.outputActivation.rawValue).serialized),
      ("thresholds", JSONValue.array(model.record.thresholds.map(number)).serialized),
      ("temperature", "\(temperature ?? 1)"), ("bytesGoIn", "\(bytesGoIn)"),
      ("test", test.json.serialized),
    ]
    let constants = facts.map { "export const \($0) = \($1);\n" }.joined()
    return heading + "\n" + constants + "\n" + resizing + "\n" + answering
  }

  private static func number(_ value: Float) -> JSONValue {
    .number(Double(value.description) ?? Double(value))
  }

  private static let heading = #"""
    // SPDX-License-Identifier: CC0-1.0
    // Classifies photos by the ONNX file that this lies beside, in onnxruntime-web (or -node). Written by
    // `thaw export`; the README beside it says in words what it does, and has a page that uses it.
    //
    //   import * as ort from "onnxruntime-web";
    //   import { classify, pixelsOf } from "./FILE";
    //   const session = await ort.InferenceSession.create("MODEL.onnx");
    //   const answer = await classify(ort, session, await pixelsOf(photo));   // photo: a File or Blob
    //
    // An image is { data, width, height } as a canvas gives it: upright, sRGB, red, green, blue, alpha.

    """#

  private static let resizing = #"""
    // The weights of Pillow's resize along one axis: where each output begins, and 22-bit integers.
    function weights(source, target, from, count) {
      const cubic = (x) =>
        x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
      const kernels = { bilinear: [1, (x) => Math.max(1 - x, 0)], bicubic: [2, cubic] };
      const scale = source / target, widening = Math.max(scale, 1), result = [];
      if (contract.interpolation === "nearest") {
        let position = scale * 0.5;
        for (let output = 0; output < from + count; output++, position += scale) {
          const start = Math.min(Math.floor(position), source - 1);
          if (output >= from) result.push({ start, taps: [1 << 22] });
        }
        return result;
      }
      const [reach, kernel] = kernels[contract.interpolation];
      for (let output = from; output < from + count; output++) {
        const center = (output + 0.5) * scale;
        const start = Math.max(Math.trunc(center - reach * widening + 0.5), 0);
        const end = Math.min(Math.trunc(center + reach * widening + 0.5), source);
        const exact = [];
        for (let tap = start; tap < end; tap++) {
          exact.push(kernel(Math.abs((tap - center + 0.5) * (1 / widening))));
        }
        const total = exact.reduce((sum, value) => sum + value, 0);
        const taps = exact.map((value) => {
          const fixed = (total === 0 ? value : value / total) * (1 << 22);
          return Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
        });
        result.push({ start, taps });
      }
      return result;
    }

    // Resizes along one axis: `lines` independent rows or columns, `step` apart, of samples `stride` apart.
    function resample(input, axis, { lines, step, stride, target }) {
      const output = new Uint8Array(target.size);
      for (let line = 0; line < lines; line++) {
        for (let place = 0; place < axis.length; place++) {
          const { start, taps } = axis[place];
          for (let channel = 0; channel < 3; channel++) {
            let sum = 1 << 21, at = line * step + start * stride + channel;
            for (let tap = 0; tap < taps.length; tap++, at += stride) sum += input[at] * taps[tap];
            const value = Math.floor(sum / (1 << 22));
            output[line * target.step + place * target.stride + channel] =
              value < 0 ? 0 : value > 255 ? 255 : value;
          }
        }
      }
      return output;
    }

    // Half a pixel goes to the even side, as in Python.
    function centred(length, side) {
      const half = (length - side) / 2, down = Math.floor(half);
      return half - down === 0.5 ? down + (down & 1) : Math.round(half);
    }

    // What of an image the network sees: bytes, rows from above, a pixel's red, green, blue.
    export function square({ data, width, height }) {
      const pixels = new Uint8Array(width * height * 3);
      const ground = [contract.background.red, contract.background.green, contract.background.blue];
      for (let pixel = 0; pixel < width * height; pixel++) {
        const alpha = data[pixel * 4 + 3];
        for (let channel = 0; channel < 3; channel++) {
          const sum = (data[pixel * 4 + channel] * alpha + ground[channel] * (255 - alpha)) * 128 + 16384;
          pixels[pixel * 3 + channel] = alpha === 255 ? data[pixel * 4 + channel]
            : alpha === 0 ? ground[channel] : (((sum >> 8) + sum) >> 8) >> 7;
        }
      }
      const side = contract.input_size, target = Math.floor(side / contract.crop_fraction);
      let wide = target, high = target;
      if (contract.resize_rule !== "squash") {
        if (width <= height) high = Math.floor((target * height) / width);
        else wide = Math.floor((target * width) / height);
      }
      const [left, top] = [centred(wide, side), centred(high, side)];
      if (wide === width && high === height) {
        const result = new Uint8Array(side * side * 3);
        for (let row = 0; row < side; row++) {
          const from = ((row + top) * width + left) * 3;
          result.set(pixels.subarray(from, from + side * 3), row * side * 3);
        }
        return result;
      }
      const columns = weights(width, wide, left, side), rows = weights(height, high, top, side);
      const across = (input, lines) => resample(input, columns, {
        lines, step: input.length / lines, stride: 3,
        target: { size: lines * side * 3, step: side * 3, stride: 3 } });
      const down = (input, lines) => resample(input, rows, {
        lines, step: 3, stride: lines * 3,
        target: { size: lines * side * 3, step: 3, stride: lines * 3 } });
      // Pillow begins with the rows where the height shrinks by more than twice what the width does.
      return high < height && height - high > 2 * (width - wide)
        ? across(down(pixels, width), side) : down(across(pixels, height), side);
    }

    """#

  private static let answering = #"""
    // The tensor that goes into the session.
    export function tensor(ort, bytes) {
      const side = contract.input_size;
      if (bytesGoIn) return new ort.Tensor("uint8", bytes, [1, side, side, 3]);
      const values = new Float32Array(3 * side * side);
      for (let channel = 0; channel < 3; channel++) {
        const source = contract.channel_order === "bgr" ? 2 - channel : channel;
        for (let pixel = 0; pixel < side * side; pixel++) {
          const value = bytes[pixel * 3 + source] * contract.scale - contract.mean[channel];
          values[channel * side * side + pixel] = value / contract.std[channel];
        }
      }
      return new ort.Tensor("float32", values, [1, 3, side, side]);
    }

    function probabilitiesOf(logits) {
      if (activation === "independent_sigmoids") return logits.map((x) => 1 / (1 + Math.exp(-x)));
      const largest = Math.max(...logits);
      const powers = logits.map((x) => Math.exp((x - largest) / temperature));
      const sum = powers.reduce((total, value) => total + value, 0);
      return powers.map((value) => value / sum);
    }

    // One probability a class, in the order of `classes`.
    export async function probabilities(ort, session, image) {
      const feeds = { [session.inputNames[0]]: tensor(ort, square(image)) };
      const results = await session.run(feeds);
      if (!results.probabilities) {
        const logits = Array.from(results.logits.data);
        return probabilitiesOf(activation === "single_sigmoid" ? [0, logits[0]] : logits);
      }
      const values = Array.from(results.probabilities.data);
      return activation === "single_sigmoid" ? [1 - values[0], values[0]] : values;
    }

    // The answer of `thaw predict`: a label, or the labels of a model that gives several.
    export async function classify(ort, session, image) {
      const values = await probabilities(ort, session, image);
      const ranked = classes.map((label, index) => ({ label, probability: values[index], index }));
      ranked.sort((one, other) => other.probability - one.probability || one.index - other.index);
      const top = ranked.slice(0, 5).map(({ label, probability }) => ({ label, probability }));
      const limit = (one) => thresholds[one.index] ?? (activation === "independent_sigmoids" ? 0.5 : 0);
      const reached = ranked.filter((one) => one.probability >= Math.fround(limit(one)));
      if (activation === "independent_sigmoids") {
        return { labels: reached.map(({ label, probability }) => ({ label, probability })), top };
      }
      const decided = reached.filter((one) => limit(one) > 0);
      decided.sort((one, other) =>
        other.probability / limit(other) - one.probability / limit(one) || one.index - other.index);
      const chosen = decided[0] ?? (limit(ranked[0]) > 0 ? null : ranked[0]);
      return { label: chosen?.label ?? "undecided", probability: chosen?.probability ?? null, top };
    }

    // In a browser: the pixels of a photo, upright and in sRGB. Give `image` of the page, or a File.
    export async function pixelsOf(photo) {
      const bitmap = await createImageBitmap(photo, { imageOrientation: "from-image" });
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(bitmap, 0, 0);
      return context.getImageData(0, 0, bitmap.width, bitmap.height);
    }

    // The photo of the test vector: its answer must be `test.probabilities`.
    export function testImage() {
      const { width, height } = test.photo, data = new Uint8ClampedArray(width * height * 4);
      for (let pixel = 0; pixel < width * height; pixel++) {
        const x = pixel % width, y = Math.floor(pixel / width);
        for (let c = 0; c < 3; c++) {
          data[pixel * 4 + c] = (3 * x + 5 * y + Math.floor((x * y) / (16 + c)) + 85 * c) % 256;
        }
        data[pixel * 4 + 3] = 255;
      }
      return { data, width, height };
    }

    """#
}
