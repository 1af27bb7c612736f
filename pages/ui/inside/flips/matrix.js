// Opens the images of a cell of the confusion matrix, by a click, Enter or the space bar. Arrow keys move between the
// cells. The table is replaced with every move of a slider; the cell that had the focus has it again.

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

let focused = null;

export default function ({ setTriggerValue }) {
  const place = document.querySelector(".st-key-flips-matrix");
  const find = (cell) => place.querySelector(`td[data-cell="${cell}"]`);
  const open = (cell) => { if (cell.className) setTriggerValue("picked", cell.dataset.cell); };

  const focus = (cell) => {
    place.querySelectorAll("td[tabindex='0']").forEach((each) => { each.tabIndex = -1; });
    cell.tabIndex = 0;
    cell.focus();
  };
  const click = ({ target }) => { if (target.dataset.cell) open(target); };
  const press = (event) => {
    const { target, key } = event;
    if (!target.dataset.cell) return;
    const [row, column] = target.dataset.cell.split("-").map(Number);
    const next = STEPS[key] && find(`${row + STEPS[key][0]}-${column + STEPS[key][1]}`);
    if (next) focus(next);
    else if (key === "Enter" || key === " ") open(target);
    else return;
    event.preventDefault();
  };
  const note = ({ target }) => { focused = target.dataset.cell; };
  const leave = ({ target }) => setTimeout(() => {  // after the table was replaced, if it was
    if (target.isConnected && target.dataset.cell === focused) focused = null;
  });
  const restore = () => {
    const cell = focused && find(focused);
    if (cell && document.activeElement === document.body) focus(cell);
  };
  const watcher = new MutationObserver(restore);

  const listeners = { click, keydown: press, focusin: note, focusout: leave };
  Object.entries(listeners).forEach(([name, listener]) => place.addEventListener(name, listener));
  watcher.observe(place, { childList: true, subtree: true });
  restore();
  place.dataset.listening = "";  // until now, a click had no effect
  return () => {
    delete place.dataset.listening;
    watcher.disconnect();
    Object.entries(listeners).forEach(([name, listener]) => place.removeEventListener(name, listener));
  };
}
