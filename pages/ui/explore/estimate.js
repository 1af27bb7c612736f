// What a network becomes under a setting of the sliders, computed from the sketch of its weights.
//
// The sketch (`compression/inspect/sketch.py`) says how many weights of a channel lie in each bin. Within a bin they
// are taken to be spread evenly. All results are therefore exact up to the width of a bin.

const FLOAT_BITS = 32;
const MOST_CODED_BITS = 8; // with more, each further bit of a code is taken to be random
const PICTURE_BINS = 121;

// Returns the sketch that `pages/ui/explore/picture.py` sent: {bins, layers: [{name, macs, weights, channels, ...}]}.
async function readSketch(message) {
  const counts = await inflate(message.counts);
  const peaks = floats(message.peaks);
  const thresholds = floats(message.thresholds);
  const { bins, percents } = message;
  let channel = 0;
  const layers = message.layers.map(({ name, weights, channels, macs }, index) => {
    const layer = {
      name,
      weights, // also those that are zero, which are in no bin
      macs,
      channels,
      peaks: peaks.subarray(channel, channel + channels),
      counts: counts.subarray(channel * 2 * bins, (channel + channels) * 2 * bins),
      thresholds: thresholds.subarray((index + 1) * percents, (index + 2) * percents),
    };
    channel += channels;
    layer.zeros = weights - layer.counts.reduce((sum, count) => sum + count, 0);
    layer.peak = layer.peaks.reduce((most, peak) => Math.max(most, peak), 0);
    return layer;
  });
  const macs = layers.reduce((sum, layer) => sum + layer.macs, 0);
  return { bins, layers, macs, thresholds: thresholds.subarray(0, percents) };
}

function floats(text) {
  return new Float32Array(bytes(text).buffer);
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

async function inflate(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint16Array(await new Response(stream).arrayBuffer());
}

// The magnitude below which weights are pruned, for a layer of the sketch. `setting.sparsity` may lie between percents.
function thresholdOf(sketch, layer, setting) {
  if (setting.threshold !== null) return setting.threshold;
  const known = setting.scope === "layer" ? layer.thresholds : sketch.thresholds;
  const place = Math.min(1, setting.sparsity) * (known.length - 1);
  const below = Math.floor(place + 1e-9);
  const above = Math.min(known.length - 1, below + 1);
  const share = Math.max(0, place - below);
  return share < 1e-9 ? known[below] : known[below] + share * (known[above] - known[below]);
}

// Returns what `setting` makes of a layer:
//   codes   how many weights get each code, from -top to top; one number, of all weights, if they stay float
//   kept    how many weights stay nonzero
//   noise, signal   sums of squares
//   picture if asked for: histograms of the float weights that stay nonzero and that become zero
// setting = {bits: 2..16 or null, granularity: "channel" or "tensor", sparsity or threshold, scope}
function compressLayer(sketch, layer, setting, picture) {
  const { bins } = sketch;
  const { channels, counts, peaks } = layer;
  const top = setting.bits ? 2 ** (setting.bits - 1) - 1 : 0;
  const codes = top && setting.bits <= MOST_CODED_BITS ? new Float64Array(2 * top + 1) : null;
  const threshold = thresholdOf(sketch, layer, setting);
  let kept = 0;
  let noise = 0;
  let signal = 0;
  for (let channel = 0; channel < channels; channel++) {
    const peak = peaks[channel];
    if (peak === 0) continue;
    const end = setting.granularity === "tensor" ? layer.peak : peak;
    const cut = threshold / peak; // in units of the peak, as the bins are
    const ratio = peak / end; // a magnitude of 1 peak is `ratio` of the range
    let keptHere = 0;
    let noiseHere = 0;
    let signalHere = 0;
    for (let bin = 0; bin < bins; bin++) {
      const negative = counts[channel * 2 * bins + bin];
      const positive = counts[channel * 2 * bins + bins + bin];
      const count = negative + positive;
      if (count === 0) continue;
      const low = bin / bins;
      const high = (bin + 1) / bins;
      signalHere += count * meanSquare(low, high);
      const from = Math.min(Math.max(low, cut), high);
      const pruned = (from - low) * bins;
      if (pruned > 0) noiseHere += count * pruned * meanSquare(low, from);
      let zero = pruned;
      if (pruned < 1 && top === 0) keptHere += count * (1 - pruned);
      else if (pruned < 1) {
        const first = Math.round(from * ratio * top);
        const last = Math.round(high * ratio * top);
        for (let code = first; code <= last; code++) {
          const a = Math.max(from, (code - 0.5) / (ratio * top));
          const b = Math.min(high, (code + 0.5) / (ratio * top));
          if (b <= a) continue;
          const share = (b - a) * bins;
          const level = code / (ratio * top);
          noiseHere += count * share * meanSquare(a - level, b - level);
          if (code === 0) zero += share;
          else {
            keptHere += count * share;
            if (codes) {
              codes[top + code] += positive * share;
              codes[top - code] += negative * share;
            }
          }
        }
      }
      if (picture) {
        const scale = picture.relative ? ratio : peak / picture.reach;
        spread(picture.zeroed, picture.kept, -high * scale, -low * scale, negative, zero);
        spread(picture.zeroed, picture.kept, low * scale, high * scale, positive, zero);
      }
    }
    kept += keptHere;
    noise += noiseHere * peak * peak;
    signal += signalHere * peak * peak;
  }
  if (picture) picture.zeroed[(PICTURE_BINS - 1) / 2] += layer.zeros;
  if (codes) codes[top] = layer.weights - codes.reduce((sum, count) => sum + count, 0);
  return { codes, kept, noise, signal, threshold };
}

// The mean of x^2 for x spread evenly from a to b.
function meanSquare(a, b) {
  return (a * a + a * b + b * b) / 3;
}

// Adds `count` weights, spread evenly from `low` to `high` in -1..1, to the bins of a picture; a share of them is zero.
function spread(zeroed, kept, low, high, count, zero) {
  if (count === 0) return;
  const half = PICTURE_BINS / 2;
  const from = Math.min(PICTURE_BINS - 1, Math.max(0, (low + 1) * half));
  const to = Math.min(PICTURE_BINS, Math.max(from + 1e-9, (high + 1) * half));
  const density = count / (to - from);
  for (let bin = Math.floor(from); bin < to; bin++) {
    const here = density * (Math.min(to, bin + 1) - Math.max(from, bin));
    zeroed[bin] += here * zero;
    kept[bin] += here * (1 - zero);
  }
}

// The order-0 entropy of the codes of a layer in bytes; for float weights 4 bytes each, and the positions of zeros.
function entropyBytes(layer, result, setting) {
  if (result.codes) return (result.codes.reduce((sum, count) => sum + surprise(count, layer.weights), 0)) / 8;
  const positions = surprise(result.kept, layer.weights) + surprise(layer.weights - result.kept, layer.weights);
  return (positions + result.kept * (setting.bits ?? FLOAT_BITS)) / 8;
}

function surprise(count, total) {
  return count > 0 ? count * Math.log2(total / count) : 0;
}

// Returns the totals of the network under `setting`: {weights, kept, sparsity, entropy, bitOperations}.
function compressNetwork(sketch, setting) {
  const totals = { weights: 0, kept: 0, entropy: 0, bitOperations: 0 };
  const coded = setting.bits > MOST_CODED_BITS ? { ...setting, bits: MOST_CODED_BITS } : setting;
  for (const layer of sketch.layers) {
    const result = compressLayer(sketch, layer, coded);
    totals.weights += layer.weights;
    totals.kept += result.kept;
    totals.entropy += entropyBytes(layer, result, coded);
    if (coded !== setting) totals.entropy += (result.kept * (setting.bits - MOST_CODED_BITS)) / 8;
    totals.bitOperations += layer.macs * (setting.bits ?? FLOAT_BITS) * setting.activationBits;
  }
  return { ...totals, sparsity: 1 - totals.kept / totals.weights };
}

// Returns the view of weights that `compression/inspect/histogram.py` would make, of one layer or of all.
function viewWeights(sketch, setting, name) {
  const shown = sketch.layers.filter((layer) => name === null || layer.name === name);
  const relative = setting.bits !== null;
  const reach = relative ? 1 : shown.reduce((most, layer) => Math.max(most, layer.peak), 0) || 1;
  const picture = { relative, reach, zeroed: new Float64Array(PICTURE_BINS), kept: new Float64Array(PICTURE_BINS) };
  const top = relative ? 2 ** (setting.bits - 1) - 1 : 0;
  const hasLevels = relative && setting.bits <= MOST_CODED_BITS;
  const held = new Float64Array(hasLevels ? 2 * top + 1 : 0);
  let weights = 0;
  let kept = 0;
  let noise = 0;
  let signal = 0;
  const thresholds = new Set();
  for (const layer of shown) {
    const result = compressLayer(sketch, layer, setting, picture);
    weights += layer.weights;
    kept += result.kept;
    noise += result.noise;
    signal += result.signal;
    thresholds.add(result.threshold);
    if (hasLevels) result.codes.forEach((count, code) => { held[code] += count; });
  }
  if (hasLevels) held[top] = 0; // zeros are counted apart
  const [threshold] = thresholds;
  return {
    relative,
    reach,
    before: picture.kept.map((count, bin) => count + picture.zeroed[bin]),
    zeroed: picture.zeroed,
    after: hasLevels ? [] : picture.kept,
    levels: Array.from(held, (_, code) => (code - top) / top),
    held,
    zeros: weights - kept,
    clipped: 0,
    weights,
    threshold: !relative && thresholds.size === 1 && threshold > 0 && Number.isFinite(threshold) ? threshold : null,
    sqnr: noise > 0 ? 10 * Math.log10(signal / noise) : null,
  };
}

// The size of the packed file in bytes: the entropy under `setting`, times what measured files take of theirs.
// anchors = [{bits, sparsity, bytes, accuracy}], measured with the same other settings. Returns null without any.
function fileBytes(sketch, setting, totals, anchors) {
  const distance = (anchor) => Math.abs((anchor.bits ?? FLOAT_BITS) - (setting.bits ?? FLOAT_BITS));
  const nearest = Math.min(...anchors.map(distance));
  const alike = anchors.filter((anchor) => distance(anchor) === nearest && anchor.bytes !== null);
  if (alike.length === 0) return null;
  const ratios = alike.map((anchor) => [anchor.sparsity, anchor.bytes / anchorEntropy(sketch, setting, anchor)]);
  return Math.round(totals.entropy * between(ratios, pruned(sketch, setting)));
}

const entropies = new WeakMap();

function anchorEntropy(sketch, setting, anchor) {
  if (!entropies.has(anchor)) {
    const there = { ...setting, bits: anchor.bits, sparsity: anchor.sparsity, threshold: null };
    entropies.set(anchor, compressNetwork(sketch, there).entropy);
  }
  return entropies.get(anchor);
}

// The share of the weights that is pruned, which is exact for a sparsity.
function pruned(sketch, setting) {
  if (setting.threshold === null) return setting.sparsity;
  return compressNetwork(sketch, { ...setting, bits: null }).sparsity;
}

// The value at `x` on the line through `points` [[x, y], ...]; beyond the ends, that of the end.
function between(points, x) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const above = sorted.findIndex(([at]) => at >= x);
  if (above < 0) return sorted[sorted.length - 1][1];
  if (above === 0) return sorted[0][1];
  const [[x0, y0], [x1, y1]] = [sorted[above - 1], sorted[above]];
  return y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
}

// The accuracies of the measured settings on both sides: [low, high, whether it was measured], or null if there is none.
function accuracyBand(sketch, setting, anchors) {
  const share = pruned(sketch, setting);
  const known = anchors.filter((anchor) => anchor.accuracy !== null);
  const width = (anchor) => anchor.bits ?? FLOAT_BITS;
  const columns = around(known.map(width), setting.bits ?? FLOAT_BITS);
  const found = columns.flatMap((column) => {
    const alike = known.filter((anchor) => width(anchor) === column);
    const sides = around(alike.map((anchor) => anchor.sparsity), share);
    return sides.length ? alike.filter((anchor) => sides.includes(anchor.sparsity)) : [null];
  });
  if (found.length === 0 || found.includes(null)) return null;
  const accuracies = found.map((anchor) => anchor.accuracy);
  return [Math.min(...accuracies), Math.max(...accuracies), found.length === 1];
}

// The nearest of `values` at or below `x` and at or above it; none if `x` lies outside of them.
function around(values, x) {
  const below = Math.max(...values.filter((value) => value <= x + 1e-9));
  const above = Math.min(...values.filter((value) => value >= x - 1e-9));
  return Number.isFinite(below) && Number.isFinite(above) ? [...new Set([below, above])] : [];
}
