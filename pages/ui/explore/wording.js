// Values -> words, as `pages/ui/wording.py` has them.

const NARROW = "\u202f";
const TIMES = "\u00d7";

function percent(fraction, digits = 1) {
  return `${(100 * fraction).toFixed(digits)}${NARROW}%`;
}

function quantity(value, unit = "") {
  const rounded = Number(value.toPrecision(3));
  for (const [size, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (rounded >= size) {
      const number = rounded / size;
      return `${number.toFixed(Math.max(0, 2 - (number >= 10) - (number >= 100)))}${NARROW}${prefix}${unit}`;
    }
  }
  return unit ? `${rounded.toFixed(0)}${NARROW}${unit}` : rounded.toFixed(0);
}

function times(ratio) {
  return `${ratio.toFixed(ratio < 1.1 ? 2 : 1)}${TIMES}`;
}

function points(difference) {
  const rounded = (100 * difference).toFixed(1);
  return Number(rounded) === 0 ? "0.0 points" : `${difference > 0 ? "+" : ""}${rounded} points`;
}

function wholePercents(low, high) {
  return `${Math.floor(100 * low)} to ${Math.ceil(100 * high)}\u00a0%`;
}

function decibels(ratio) {
  return ratio === null ? "no noise" : `${ratio.toFixed(1)}${NARROW}dB`;
}

function grouped(count) {
  return Math.round(count).toLocaleString("en-US");
}
