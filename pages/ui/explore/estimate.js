// What a network becomes under a setting of the sliders, computed from the sketch of its weights.
//
// The sketch (`compression/inspect/sketch.py`) says how many weights of a channel lie in each bin. Within a bin they
// are taken to be spread evenly. All results are therefore exact up to the width of a bin.

const FLOAT_BITS = 32;
const SCALE_BYTES = FLOAT_BITS / 8;
const MOST_CODED_BITS = 8; // with more, each further bit of a code is taken to be random
const PICTURE_BINS = 64; // for each sign
const TENSOR_BINS = 1024; // for each sign, of a histogram that is no longer divided into channels

const sketches = (window.squeezelabSketches ??= new Map()); // name -> sketch, of all networks that were shown

// Returns the sketch that `pages/ui/explore/picture.py` sent. The weights of each layer are there in several forms:
// `channels` has a row for each channel, `tensor` one row for the layer, and `sketch.tensor` one row for the network.
async function readSketch(message) {
  const counts = await inflate(message.counts);
  const peaks = floats(message.peaks);
  const thresholds = floats(message.thresholds);
  const { bins, percents } = message;
  let row = 0;
  const layers = message.layers.map(({ name, weights, tiny, channels: rows, macs }, index) => {
    const own = counts.subarray(row * 2 * bins, (row + rows) * 2 * bins);
    const channels = { rows, bins, peaks: peaks.subarray(row, row + rows), ...bySign(own, rows, bins) };
    row += rows;
    return {
      name,
      weights,
      tiny, // how many are too small for a bin, without those that are zero
      unbinned: weights - own.reduce((sum, count) => sum + count, 0), // with those that are zero
      macs,
      channels,
      tensor: inOneRow([channels]),
      thresholds: thresholds.subarray((index + 1) * percents, (index + 2) * percents),
    };
  });
  return {
    layers,
    macs: sum(layers, (layer) => layer.macs),
    weights: sum(layers, (layer) => layer.weights),
    tensor: inOneRow(layers.map((layer) => layer.channels)),
    thresholds: thresholds.subarray(0, percents),
    anchors: new Map(),
  };
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

function sum(items, value) {
  return items.reduce((total, item) => total + value(item), 0);
}

function bySign(counts, rows, bins) {
  const negative = new Float64Array(rows * bins);
  const positive = new Float64Array(rows * bins);
  for (let row = 0; row < rows; row++) {
    negative.set(counts.subarray(2 * row * bins, (2 * row + 1) * bins), row * bins);
    positive.set(counts.subarray((2 * row + 1) * bins, (2 * row + 2) * bins), row * bins);
  }
  return { negative, positive };
}

// Returns the weights of all `parts` in one row, relative to the largest magnitude of them all.
function inOneRow(parts) {
  const peak = parts.reduce((most, part) => part.peaks.reduce((high, each) => Math.max(high, each), most), 0);
  const whole = { rows: 1, bins: TENSOR_BINS, peaks: [peak], negative: new Float64Array(TENSOR_BINS), positive: new Float64Array(TENSOR_BINS) };
  for (const { rows, bins, peaks, negative, positive } of parts) {
    for (let row = 0; row < rows; row++) {
      const scale = ((peaks[row] / peak) * TENSOR_BINS) / bins;
      for (let bin = 0; bin < bins; bin++) {
        const at = row * bins + bin;
        if (negative[at]) spread(whole.negative, bin * scale, (bin + 1) * scale, negative[at]);
        if (positive[at]) spread(whole.positive, bin * scale, (bin + 1) * scale, positive[at]);
      }
    }
  }
  return whole;
}

// Adds `count` weights, spread evenly from the place `low` to `high`, to the bins between 0, 1, 2, ...
function spread(bins, low, high, count) {
  const density = count / (high - low);
  for (let bin = Math.floor(low); bin < high; bin++) {
    const share = Math.min(high, bin + 1) - Math.max(low, bin);
    bins[Math.min(bin, bins.length - 1)] += density * share;
  }
}

// The magnitude below which weights are pruned, for a layer of the sketch; 0 if none is. `setting.sparsity` may lie
// between percents. Between the last two, of which 100 % has no finite threshold, that of 99 % is taken.
function thresholdOf(sketch, layer, setting) {
  if (setting.threshold !== null) return setting.threshold;
  const { thresholds: known, weights } = setting.scope === "layer" ? layer : sketch;
  if (setting.sparsity * weights < 1) return 0;
  const place = Math.min(1, setting.sparsity) * (known.length - 1);
  const below = Math.floor(place + 1e-9);
  const above = Math.min(known.length - 1, below + 1);
  const share = Math.max(0, place - below);
  const isBetween = share > 1e-9 && Number.isFinite(known[above]);
  return isBetween ? known[below] + share * (known[above] - known[below]) : known[below];
}

// The mean of x^2 for x spread evenly from a to b.
function meanSquare(a, b) {
  return (a * a + a * b + b * b) / 3;
}

// Calls visit(code, share, noise) for the codes that the magnitudes from `low` to `high` get, in units of a range that
// has the codes 0..top: the share of the magnitudes, and the sum of the squared errors of that share.
function visitCodes(low, high, top, visit) {
  for (let code = Math.round(low * top); code <= Math.round(high * top); code++) {
    const from = Math.max(low, (code - 0.5) / top);
    const to = Math.min(high, (code + 0.5) / top);
    if (to <= from) continue;
    const share = (to - from) / (high - low);
    visit(code, share, share * meanSquare(from - code / top, to - code / top));
  }
}

const tables = new Map();

// What rounding does to the magnitudes in each of `bins` bins: {square, noise, zero}: mean squares of them and of their
// errors, and the share that gets the code 0.
function roundingOf(bins, top) {
  const key = `${bins} ${top}`;
  if (!tables.has(key)) {
    const table = { square: new Float64Array(bins), noise: new Float64Array(bins), zero: new Float64Array(bins) };
    for (let bin = 0; bin < bins; bin++) {
      table.square[bin] = meanSquare(bin / bins, (bin + 1) / bins);
      if (top) {
        visitCodes(bin / bins, (bin + 1) / bins, top, (code, share, noise) => {
          table.noise[bin] += noise;
          if (code === 0) table.zero[bin] += share;
        });
      }
    }
    tables.set(key, table);
  }
  return tables.get(key);
}

// Returns what pruning below `threshold` and rounding to `bits`, or null, make of the weights of a form:
//   codes          how many weights get each code from -top to top, without zeros; null for many bits
//   kept, pruned   how many weights stay nonzero, and how many are pruned
//   noise, signal  sums of squares
//   zeroed         how many weights of each bin become zero, by sign
function compressForm(form, bits, threshold) {
  const { rows, bins, peaks, negative, positive } = form;
  const top = bits ? 2 ** (bits - 1) - 1 : 0;
  const codes = top && bits <= MOST_CODED_BITS ? new Float64Array(2 * top + 1) : null;
  const table = roundingOf(bins, top);
  const whole = { negative: new Float64Array(bins), positive: new Float64Array(bins) }; // of bins above the threshold
  const gone = { negative: new Float64Array(bins), positive: new Float64Array(bins) };
  const result = { codes, kept: 0, pruned: 0, noise: 0, signal: 0 };
  const count = (code, below, above) => {
    if (code === 0) return;
    result.kept += below + above;
    if (codes) {
      codes[top - code] += below;
      codes[top + code] += above;
    }
  };
  for (let row = 0; row < rows; row++) {
    const cut = (threshold / peaks[row]) * bins; // in bins
    let noise = 0;
    let signal = 0;
    for (let bin = 0, at = row * bins; bin < bins; bin++, at++) {
      const both = negative[at] + positive[at];
      if (both === 0) continue;
      signal += both * table.square[bin];
      if (cut <= bin) {
        noise += both * table.noise[bin];
        whole.negative[bin] += negative[at];
        whole.positive[bin] += positive[at];
        continue;
      }
      const below = Math.min(1, cut - bin);
      const from = Math.min(cut, bin + 1) / bins;
      noise += both * below * meanSquare(bin / bins, from);
      result.pruned += both * below;
      let zero = below;
      if (below < 1 && top) {
        visitCodes(from, (bin + 1) / bins, top, (code, share, error) => {
          noise += both * (1 - below) * error;
          if (code === 0) zero += share * (1 - below);
          count(code, negative[at] * share * (1 - below), positive[at] * share * (1 - below));
        });
      } else result.kept += both * (1 - below);
      gone.negative[bin] += negative[at] * zero;
      gone.positive[bin] += positive[at] * zero;
    }
    result.noise += noise * peaks[row] ** 2;
    result.signal += signal * peaks[row] ** 2;
  }
  for (let bin = 0; bin < bins; bin++) {
    const [below, above] = [whole.negative[bin], whole.positive[bin]];
    if (below + above === 0) continue;
    if (top) visitCodes(bin / bins, (bin + 1) / bins, top, (code, share) => count(code, below * share, above * share));
    else result.kept += below + above;
    gone.negative[bin] += below * table.zero[bin];
    gone.positive[bin] += above * table.zero[bin];
  }
  return { ...result, zeroed: gone };
}

// Returns the network under `setting`: {sparsity, pruned (shares), kept, entropy, scales, bitOperations, view}.
// setting = {bits: 2..16 or null, granularity: "channel" or "tensor", sparsity, threshold or null, scope,
// activationBits}. The view is what `compression/inspect/histogram.py` makes, of the layer `name` or of all.
function compressNetwork(sketch, setting, name = null) {
  const bits = setting.bits > MOST_CODED_BITS ? MOST_CODED_BITS : setting.bits;
  const totals = { kept: 0, pruned: 0, entropy: 0, scales: 0 };
  const view = newView(sketch, setting, name);
  for (const layer of sketch.layers) {
    const form = setting.bits && setting.granularity === "channel" ? layer.channels : layer.tensor;
    const threshold = thresholdOf(sketch, layer, setting);
    const shown = name === null || name === layer.name;
    const result = compressForm(form, shown ? setting.bits : bits, threshold);
    if (!(threshold > 0 || (setting.bits ?? FLOAT_BITS) <= MOST_CODED_BITS)) result.kept += layer.tiny;
    totals.kept += result.kept;
    totals.pruned += result.pruned + (threshold > 0 ? layer.unbinned : 0);
    totals.entropy += entropyBytes(layer, result, setting.bits ?? FLOAT_BITS);
    if (setting.bits) totals.scales += form.peaks.filter((peak) => peak > 0 && peak >= threshold).length;
    if (shown) addToView(view, layer, form, result, threshold);
  }
  return {
    kept: totals.kept,
    entropy: totals.entropy,
    scales: totals.scales,
    sparsity: 1 - totals.kept / sketch.weights,
    pruned: setting.threshold === null ? setting.sparsity : totals.pruned / sketch.weights,
    bitOperations: sketch.macs * (setting.bits ?? FLOAT_BITS) * setting.activationBits,
    view: finished(view),
  };
}

function newView(sketch, setting, name) {
  const relative = setting.bits !== null;
  const top = relative && setting.bits <= MOST_CODED_BITS ? 2 ** (setting.bits - 1) - 1 : 0;
  const parts = name === null ? [sketch.tensor] : sketch.layers.filter((each) => each.name === name).map((each) => each.tensor);
  return {
    relative,
    top,
    reach: relative ? 1 : parts[0].peaks[0] || 1,
    before: new Float64Array(2 * PICTURE_BINS),
    zeroed: new Float64Array(2 * PICTURE_BINS),
    held: new Float64Array(top ? 2 * top + 1 : 0),
    weights: 0,
    kept: 0,
    noise: 0,
    signal: 0,
    thresholds: new Set(),
  };
}

function addToView(view, layer, form, result, threshold) {
  const ratio = view.relative ? 1 : form.peaks[0] / view.reach;
  addToPicture(view.before, (form.total ??= totalOf(form)), ratio);
  addToPicture(view.zeroed, result.zeroed, ratio);
  for (const histogram of [view.before, view.zeroed]) histogram[PICTURE_BINS] += layer.unbinned;
  if (view.top) result.codes.forEach((count, code) => { view.held[code] += count; });
  view.weights += layer.weights;
  view.kept += result.kept;
  view.noise += result.noise;
  view.signal += result.signal;
  view.thresholds.add(threshold);
}

// The sum of the rows of a form.
function totalOf({ rows, bins, negative, positive }) {
  const total = { negative: new Float64Array(bins), positive: new Float64Array(bins) };
  for (let at = 0; at < rows * bins; at++) {
    total.negative[at % bins] += negative[at];
    total.positive[at % bins] += positive[at];
  }
  return total;
}

// Adds a row to a picture, in which a bin begins at zero; `ratio` is the peak of the row relative to its end.
function addToPicture(picture, { negative, positive }, ratio) {
  const scale = (ratio * PICTURE_BINS) / negative.length;
  const [below, above] = [picture.subarray(0, PICTURE_BINS).reverse(), picture.subarray(PICTURE_BINS)];
  negative.forEach((count, bin) => { if (count) spread(below, bin * scale, (bin + 1) * scale, count); });
  positive.forEach((count, bin) => { if (count) spread(above, bin * scale, (bin + 1) * scale, count); });
  below.reverse();
}

function finished({ relative, top, reach, before, zeroed, held, weights, kept, noise, signal, thresholds }) {
  const [threshold] = thresholds;
  const isOne = !relative && thresholds.size === 1 && threshold > 0 && threshold < reach;
  return {
    relative,
    reach,
    before,
    zeroed,
    after: top ? [] : before.map((count, bin) => count - zeroed[bin]),
    levels: Array.from(held, (_, code) => (code - top) / top),
    held,
    zeros: weights - kept,
    clipped: 0,
    weights,
    threshold: isOne ? threshold : null,
    sqnr: noise > 0 ? 10 * Math.log10(signal / noise) : null,
  };
}

// The order-0 entropy of the codes of a layer in bytes. Where a code takes many bits, those of a nonzero weight are
// taken to be random beyond the most that are coded, and all of them where it has no code.
function entropyBytes(layer, { codes, kept }, bits) {
  const zeros = layer.weights - kept;
  const positions = surprise(zeros, layer.weights);
  if (codes) return (positions + sum([...codes], (count) => surprise(count, layer.weights))) / 8;
  return (positions + surprise(kept, layer.weights) + kept * bits) / 8;
}

function surprise(count, total) {
  return count > 0 ? count * Math.log2(total / count) : 0;
}

// The size of the packed file in bytes: `fixed` bytes, the scales, and the entropy under `setting` times what measured
// files take of theirs. anchors = [{bits, sparsity, bytes, accuracy}], of the same other settings. Returns null without
// any. What floats take in a file says nothing about codes; these take about their entropy.
function fileBytes(sketch, setting, network, anchors, fixed) {
  const distance = (anchor) => Math.abs((anchor.bits ?? FLOAT_BITS) - (setting.bits ?? FLOAT_BITS));
  const informative = anchors.filter(({ sparsity }) => sparsity < 1); // a file without weights says nothing of others
  const nearest = Math.min(...informative.map(distance));
  const alike = informative.filter((anchor) => distance(anchor) === nearest);
  if (alike.length === 0) return null;
  const withoutWeights = ({ scales }) => fixed + SCALE_BYTES * scales;
  const shares = alike.map((anchor) => anchor.sparsity);
  const sides = around(shares, Math.min(Math.max(network.pruned, Math.min(...shares)), Math.max(...shares)));
  const ratios = sides.map((share) => {
    const anchor = alike.find((each) => each.sparsity === share);
    if (anchor.bits === null && setting.bits !== null) return [share, 1];
    const there = networkAt(sketch, setting, anchor);
    return [share, (anchor.bytes - withoutWeights(there)) / there.entropy];
  });
  return Math.round(withoutWeights(network) + network.entropy * between(ratios, network.pruned));
}

// The network of an anchor, computed once.
function networkAt(sketch, setting, { bits, sparsity }) {
  const key = [bits, sparsity, setting.granularity, setting.scope].join();
  if (!sketch.anchors.has(key)) {
    const { entropy, scales } = compressNetwork(sketch, { ...setting, bits, sparsity, threshold: null });
    sketch.anchors.set(key, { entropy, scales });
  }
  return sketch.anchors.get(key);
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
function accuracyBand(setting, share, anchors) {
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
