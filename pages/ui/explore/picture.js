// The weights of Explore. While a slider moves, they and the numbers beside them follow it, computed from the sketch
// of the weights; when the server has answered, its exact answer is shown. The sliders stay Streamlit's own: their
// input elements say where they are, whether a mouse, a finger or a key moves them.

const SLIDERS = { bits: ".st-key-bits", sparsity: ".st-key-sparsity", threshold: ".st-key-threshold" };
const LEAST_BITS = 2; // of the scheme symmetric, also where a link or another scheme put the slider at 1

export default function ({ data, parentElement, setTriggerValue }) {
  const figure = parentElement.querySelector("figure");
  const picture = (figure.picture ??= new Picture(figure));
  picture.show(data, (name) => setTriggerValue("picked", name));
  return () => picture.rest();
}

class Picture {
  constructor(figure) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.tip = figure.querySelector("output");
    this.metrics = new Metrics();
    this.canvas.onmousemove = (event) => this.point(event);
    this.canvas.onmouseleave = () => { this.tip.hidden = true; };
    this.draw = this.draw.bind(this);
    this.watcher = new MutationObserver(() => this.ask());
    new ResizeObserver(() => this.ask()).observe(figure);
  }

  show(data, pick) {
    this.data = data;
    this.figure.style.fontSize = `${data.pixels}px`;
    this.figure.style.height = `${data.height}px`;
    const select = this.figure.querySelector("select");
    select.replaceChildren(...data.names.map((name) => new Option(name)));
    select.value = data.shown;
    select.onchange = () => pick(select.value);
    this.watcher.observe(document.body, { subtree: true, attributes: true, attributeFilter: ["value"] });
    this.draw();
  }

  rest() {
    this.watcher.disconnect();
  }

  ask() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(this.draw);
  }

  // Draws what the sliders say: the server's answer if it is for the same setting, or else what the sketch says.
  draw() {
    const { drag } = this.data;
    const sketch = drag && sketches.get(drag.sketch);
    const moved = sketch && movedSetting(drag.setting);
    if (moved) {
      const network = compressNetwork(sketch, moved, drag.layer);
      this.view = network.view;
      this.metrics.write(numbers(sketch, moved, network, drag));
    } else {
      this.view = this.data.view;
      this.metrics.restore();
    }
    this.figure.dataset.state = moved ? "sketch" : "exact";
    this.plot = drawWeights(this.canvas, this.view, this.data.frozen, this.look());
    this.canvas.setAttribute("aria-label", this.inWords());
    this.figure.querySelector("p").innerHTML = legend(this.view, this.data.frozen, this.data.colours, this.data.base);
  }

  inWords() {
    const { shown, names, frozen } = this.data;
    const title = `Weights of ${shown === names[0] ? "the " : ""}${shown}`;
    return `${title}. ${inWords(this.view)}${frozen ? ` A: ${inWords(frozen)}` : ""}`;
  }

  look() {
    const style = getComputedStyle(this.figure);
    return { ...this.data.colours, ink: style.color, pixels: parseFloat(style.fontSize) };
  }

  point(event) {
    const x = event.offsetX;
    const inside = x >= this.plot.left && x <= this.plot.right;
    this.tip.hidden = !inside;
    if (!inside) return;
    this.tip.textContent = whatIsAt(this.view, this.plot.at(x));
    this.tip.style.left = `${Math.min(x, this.canvas.clientWidth - this.tip.offsetWidth - 8)}px`;
  }
}

// The texts of the metrics for a setting, by their labels: [value, comparison].
function numbers(sketch, setting, network, { anchors, fixed, float32, labels }) {
  const { pruned, kept, sparsity, bitOperations } = network;
  const size = fileBytes(sketch, setting, network, anchors, fixed);
  const fewer = (sketch.macs * FLOAT_BITS * FLOAT_BITS) / bitOperations;
  const texts = {
    [labels.sparsity]: [percent(sparsity), pruned > 0 ? `${percent(pruned)} pruned` : `${grouped(kept)} nonzero`],
    [labels.operations]: [quantity(bitOperations), fewer > 1 ? `${times(fewer)} fewer` : "not fewer"],
    [labels.accuracy]: accuracyInWords(accuracyBand(setting, pruned, anchors), anchors),
  };
  if (size !== null) {
    texts[labels.size] = [`≈ ${quantity(size, "B")}`, size < float32 ? `${times(float32 / size)} smaller` : "not smaller"];
  }
  return texts;
}

// Returns the setting that the sliders say, or null if it is `shown`.
function movedSetting(shown) {
  const setting = { ...shown };
  const bits = document.querySelector(`${SLIDERS.bits} input[type=range]`)?.getAttribute("aria-valuetext");
  if (bits) setting.bits = bits === "float" ? null : Math.max(LEAST_BITS, Number(bits));
  const target = setting.threshold === null ? "sparsity" : "threshold";
  const slider = document.querySelector(`${SLIDERS[target]} input[type=range]`);
  if (slider) setting[target] = placeOf(slider, shown[target]);
  const same = setting.bits === shown.bits && Math.abs(setting[target] - shown[target]) < 1e-9;
  return same ? null : setting;
}

// Returns where a slider is. Its property is rounded to a step, and on a busy machine its attribute too; its text is
// not, but it has few digits. So `shown` is where it is if the text is nearer to that.
function placeOf(slider, shown) {
  const value = Number(slider.getAttribute("value"));
  const text = slider.getAttribute("aria-valuetext") ?? "";
  const said = parseFloat(text) / (text.endsWith("%") ? 100 : 1);
  return Math.abs(said - shown) < Math.abs(said - value) ? shown : value;
}

function accuracyInWords(band, anchors) {
  if (band === null) return ["…", "not measured"];
  const [low, high, isMeasured] = band;
  if (!isMeasured) return [wholePercents(low, high), "between measured"];
  const float = anchors.find(({ bits, accuracy }) => bits === null && accuracy !== null);
  return [percent(low, 2), float ? points(low - float.accuracy) : "measured"];
}

function legend(view, frozen, colours, base) {
  const entry = (colour, text) => `<span><i style="background: ${colour}"></i>${text}</span>`;
  const parts = [entry(colours.float, base), entry(colours.compressed, `compressed, SQNR ${decibels(view.sqnr)}`)];
  if (view.zeros > 0) parts.push(entry(colours.removed, `zero: ${percent(view.zeros / view.weights)}`));
  if (view.clipped > 0) parts.push(entry(colours.clipped, `clipped: ${percent(view.clipped / view.weights, 2)}`));
  if (view.threshold) parts.push(`<span><b>¦</b>threshold ${view.threshold.toPrecision(3)}</span>`);
  if (frozen) parts.push(entry(colours.frozen, frozen.relative === view.relative ? "A" : "A has another axis"));
  return parts.join("");
}

function inWords(view) {
  const levels = view.levels.length ? ` on ${view.levels.length} levels` : "";
  return `${grouped(view.weights)} weights${levels}; ${percent(view.zeros / view.weights)} are zero. `
    + `Signal-to-quantization-noise ratio ${decibels(view.sqnr)}.`;
}

// Returns what the view has at a position: the bin of the weights before compression and the nearest level.
function whatIsAt(view, position) {
  const bins = view.before.length;
  const bin = Math.min(bins - 1, Math.max(0, Math.floor(((position / view.reach + 1) / 2) * bins)));
  const parts = [`${grouped(view.before[bin])} weights before, near ${position.toPrecision(2)}`];
  if (view.zeroed[bin] > 0.5) parts.push(`${grouped(view.zeroed[bin])} of them become zero`);
  if (view.levels.length) {
    const level = view.levels.reduce((best, each, index) =>
      (Math.abs(each - position) < Math.abs(view.levels[best] - position) ? index : best), 0);
    const held = Math.abs(view.levels[level]) < 1e-9 ? view.zeros : view.held[level];
    parts.push(`level ${view.levels[level].toPrecision(3)}: ${grouped(held)} weights`);
  } else if (Math.abs(position) > view.reach / bins) parts.push(`${grouped(view.after[bin])} compressed`);
  return parts.join("; ");
}

// The texts of Streamlit's metrics, which are overwritten while a slider moves. What Streamlit writes in the meantime
// is seen by an observer and stays; a comparison of texts would not tell it from an estimate with the same digits.
class Metrics {
  constructor() {
    this.originals = new Map(); // text node -> what Streamlit wrote
    this.observer = new MutationObserver((records) => this.forget(records));
  }

  forget(records) {
    for (const { target } of records) this.originals.delete(target);
  }

  write(texts) {
    this.forget(this.observer.takeRecords());
    for (const metric of document.querySelectorAll('[data-testid="stMetric"]')) {
      const label = metric.querySelector('[data-testid="stMetricLabel"]')?.textContent;
      metric.toggleAttribute("data-estimate", label in texts);
      if (label in texts) {
        ["stMetricValue", "stMetricDelta"].forEach((part, index) =>
          this.overwrite(textNode(metric.querySelector(`[data-testid="${part}"]`)), texts[label][index]));
      }
    }
    this.observer.takeRecords();
  }

  overwrite(node, text) {
    if (!node) return;
    if (!this.originals.has(node)) {
      this.originals.set(node, node.nodeValue);
      this.observer.observe(node, { characterData: true });
    }
    node.nodeValue = text;
  }

  // Puts back what Streamlit wrote.
  restore() {
    this.forget(this.observer.takeRecords());
    for (const [node, original] of this.originals) node.nodeValue = original;
    this.observer.disconnect();
    this.originals.clear();
    for (const metric of document.querySelectorAll("[data-estimate]")) metric.removeAttribute("data-estimate");
  }
}

function textNode(element) {
  if (!element) return null;
  return document.createTreeWalker(element, NodeFilter.SHOW_TEXT).nextNode();
}
