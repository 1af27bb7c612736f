// Draws the weights before and after compression on a canvas: levels as bars, the float histogram behind them.

const SMALLEST_SHARE = 0.4; // of one weight: where the log axis begins, so that a bin that holds one weight is visible
const MARGIN = { left: 4.5, right: 1, top: 0.5, bottom: 3.3 }; // in text heights
const WIDEST_BAR = 12;

// view, and frozen or null, are as `compressNetwork` returns a view; look = {ink, float, compressed, removed, clipped, frozen, pixels: of the smallest text}
// Returns the plot {left, right, top, bottom, x(position), at(pixel)} for the tooltip.
function drawWeights(canvas, view, frozen, look) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const plot = layOut(width, height, view, look.pixels);
  drawAxes(pen, plot, view, look);
  drawSteps(pen, plot, view.before, look.float);
  drawSteps(pen, plot, view.zeroed, look.removed);
  if (view.levels.length) drawLevels(pen, plot, view, look);
  else {
    drawSteps(pen, plot, view.after, look.compressed);
    drawBar(pen, plot, 0, view.zeros, (plot.right - plot.left) / view.before.length, look.removed);
  }
  drawThresholds(pen, plot, view, look);
  if (frozen && frozen.relative === view.relative) drawMarks(pen, plot, view, frozen, look);
  return plot;
}

function layOut(width, height, view, pixels) {
  const plot = {
    left: MARGIN.left * pixels,
    right: width - MARGIN.right * pixels,
    top: MARGIN.top * pixels,
    bottom: height - MARGIN.bottom * pixels,
  };
  const lowest = Math.log10(SMALLEST_SHARE / view.weights);
  const span = plot.right - plot.left;
  plot.x = (position) => plot.left + ((position / view.reach + 1) / 2) * span;
  plot.at = (pixel) => (((pixel - plot.left) / span) * 2 - 1) * view.reach;
  plot.y = (count) => {
    const share = count > 0 ? Math.max(0, 1 - Math.log10(count / view.weights) / lowest) : 0;
    return plot.bottom - share * (plot.bottom - plot.top);
  };
  return plot;
}

function drawAxes(pen, plot, view, look) {
  pen.font = `${look.pixels}px "Source Sans", sans-serif`;
  pen.fillStyle = look.ink;
  pen.strokeStyle = "rgba(128, 128, 128, 0.25)";
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let share = 1; share * view.weights >= SMALLEST_SHARE; share /= 10) {
    const y = Math.round(plot.y(share * view.weights)) + 0.5;
    line(pen, plot.left, y, plot.right, y);
    pen.fillText(`${+(100 * share).toPrecision(1)} %`, plot.left - 6, Math.max(y, plot.top + 5));
  }
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const position of ticks(view.reach)) pen.fillText(String(position), plot.x(position), plot.bottom + 4);
  pen.fillText(axisTitle(view), (plot.left + plot.right) / 2, plot.bottom + 6 + look.pixels);
}

function axisTitle(view) {
  return view.relative ? "weight, relative to the range of its quantizer" : "weight";
}

// Returns about five round positions from -reach to reach.
function ticks(reach) {
  const rough = reach / 2;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [5, 2, 1].map((factor) => factor * unit).find((each) => each <= rough);
  const most = Math.floor(reach / step + 1e-9);
  return Array.from({ length: 2 * most + 1 }, (_, index) => +((index - most) * step).toPrecision(6));
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function drawSteps(pen, plot, counts, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(plot.left, plot.bottom);
  const width = (plot.right - plot.left) / counts.length;
  counts.forEach((count, bin) => {
    const y = plot.y(count);
    pen.lineTo(plot.left + bin * width, y);
    pen.lineTo(plot.left + (bin + 1) * width, y);
  });
  pen.lineTo(plot.right, plot.bottom);
  pen.fill();
}

function drawLevels(pen, plot, view, look) {
  const { levels, held } = view;
  const gap = ((levels[levels.length - 1] - levels[0]) / Math.max(1, levels.length - 1) / view.reach / 2)
    * (plot.right - plot.left);
  const width = Math.min(WIDEST_BAR, Math.max(1, 0.6 * gap));
  levels.forEach((level, index) => drawBar(pen, plot, level, held[index], width, look.compressed));
  drawBar(pen, plot, 0, view.zeros, width, look.removed);
  if (view.clipped) {
    drawBar(pen, plot, levels[0], held[0], width, look.clipped);
    drawBar(pen, plot, levels[levels.length - 1], held[levels.length - 1], width, look.clipped);
  }
}

function drawBar(pen, plot, position, count, width, colour) {
  if (!(count > 0)) return;
  const y = plot.y(count);
  pen.fillStyle = colour;
  pen.fillRect(plot.x(position) - width / 2, y, width, plot.bottom - y);
}

function drawThresholds(pen, plot, view, look) {
  if (!view.threshold || view.threshold > view.reach) return;
  pen.strokeStyle = look.ink;
  pen.lineWidth = 1.5;
  pen.setLineDash([5, 4]);
  for (const side of [-1, 1]) {
    const x = plot.x(side * view.threshold);
    line(pen, x, plot.top, x, plot.bottom);
  }
  pen.setLineDash([]);
}

// Marks how many weights the frozen state has at each level, or draws the outline of its histogram.
function drawMarks(pen, plot, view, frozen, look) {
  pen.strokeStyle = look.frozen;
  pen.lineWidth = 2.5;
  const scale = view.weights / frozen.weights;
  const gap = (plot.right - plot.left) / Math.max(1, frozen.levels.length);
  const half = Math.min(WIDEST_BAR, gap) / 2 + 1;
  const mark = (position, count) => {
    if (count > 0) line(pen, plot.x(position) - half, plot.y(count * scale), plot.x(position) + half, plot.y(count * scale));
  };
  frozen.levels.forEach((level, index) => mark(level, frozen.held[index]));
  mark(0, frozen.zeros);
  const step = (2 * frozen.reach) / frozen.before.length;
  frozen.after.forEach((count, bin) => {
    const x = -frozen.reach + bin * step;
    if (count > 0) line(pen, plot.x(x), plot.y(count * scale), plot.x(x + step), plot.y(count * scale));
  });
}
