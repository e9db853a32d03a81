"""Line charts that are drawn from numbers: hovered, stepped through by keyboard, switched on and off by line."""

CHARTS = """
const SVG = "http://www.w3.org/2000/svg";
const make = (name, attributes, parent) => {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (parent) parent.append(node);
  return node;
};
const element = (name, text, parent) => {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};
const shown = (value, digits) => value === null || value === undefined ? "\\u2013" : value.toFixed(digits);
const slider = (parent, label, count, start, move) => {
  const row = element("label", "", parent);
  row.className = "slider";
  element("span", label, row);
  const input = element("input", "", row);
  input.type = "range";
  input.min = 0;
  input.max = Math.max(count - 1, 0);
  input.value = start;
  input.disabled = count < 2;
  const output = element("output", "", row);
  const moved = () => {
    const words = move(Number(input.value));
    output.textContent = words[0];
    input.setAttribute("aria-valuetext", words.join(": "));
  };
  input.addEventListener("input", moved);
  return {input, moved, to: place => { input.value = place; moved(); }};
};
const steps = (low, high, most) => {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(times => times * power).find(size => size >= rough * .999);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  return {ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9))};
};
const drawChart = (figure, chart) => {
  const x = chart.x, off = new Set(remembered["off " + chart.id] || []), svg = make("svg", {role: "img"}, figure);
  svg.setAttribute("aria-label", chart.title + ", lines against " + chart.over + "; the numbers are below");
  const legend = element("div", "", figure), values = new Map();
  legend.className = "legend";
  let place = x.length - 1, across = null;
  for (const [index, line] of chart.lines.entries()) {
    const button = element("button", "", legend);
    button.type = "button";
    const swatch = element("span", "", button);
    swatch.className = line.reference ? "swatch dashed" : "swatch";
    swatch.style.color = "var(" + line.colour + ")";
    element("span", line.name, button);
    values.set(index, element("b", "", button));
    button.setAttribute("aria-pressed", !off.has(index));
    button.addEventListener("click", () => {
      if (!off.delete(index)) off.add(index);
      button.setAttribute("aria-pressed", !off.has(index));
      remember("off " + chart.id, [...off]);
      draw();
    });
  }
  const draw = () => {
    const width = Math.max(figure.clientWidth, 200), height = 240, left = 58, right = 12, top = 10, bottom = 30;
    const on = chart.lines.filter((line, index) => !off.has(index));
    const all = on.flatMap(line => [...line.y, ...(line.low || []), ...(line.high || [])]).filter(v => v !== null);
    let low = Math.min(...(all.length ? all : [0])), high = Math.max(...(all.length ? all : [1]));
    const room = Math.max((high - low) * .06, 5 * 10 ** -chart.digits);
    low = chart.zero ? Math.min(low, 0) : low - room;
    high += room;
    const first = x[0], last = x[x.length - 1], span = last - first || 1;
    across = value => left + (x.length < 2 ? .5 : (value - first) / span) * (width - left - right);
    const up = value => top + (high - value) / (high - low) * (height - top - bottom);
    svg.replaceChildren();
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    const vertical = steps(low, high, 5), horizontal = steps(first, last === first ? first + 1 : last, width / 90);
    for (const tick of vertical.ticks) {
      make("line", {class: "rule", x1: left, x2: width - right, y1: up(tick), y2: up(tick)}, svg);
      const label = make("text", {x: left - 6, y: up(tick) + 4, "text-anchor": "end"}, svg);
      label.textContent = tick.toFixed(vertical.digits);
    }
    for (const tick of horizontal.ticks.filter(tick => !chart.whole || Number.isInteger(tick))) {
      if (tick > last) continue;
      const label = make("text", {x: across(tick), y: height - 12, "text-anchor": "middle"}, svg);
      label.textContent = tick.toFixed(chart.whole ? 0 : horizontal.digits);
    }
    for (const line of on) {
      const paint = "var(" + line.colour + ")";
      if (line.low) {
        const there = x.map((_, i) => i).filter(i => line.low[i] !== null);
        const edge = (side, order) => order.map(i => across(x[i]) + "," + up(line[side][i]));
        const points = [...edge("high", there), ...edge("low", [...there].reverse())].join(" ");
        make("polygon", {class: "band", points}, svg).style.fill = paint;
      }
      let path = "", open = false, count = 0;
      for (const [i, value] of line.y.entries()) {
        if (value === null) { open = line.gaps ? false : open; continue; }
        path += (open ? "L" : "M") + across(x[i]).toFixed(1) + " " + up(value).toFixed(1);
        open = true;
        count++;
      }
      make("path", {class: "line " + (line.reference ? "reference" : ""), d: path}, svg).style.stroke = paint;
      if (count <= 30 && !line.reference) for (const [i, value] of line.y.entries())
        if (value !== null) make("circle", {cx: across(x[i]), cy: up(value), r: 2.5}, svg).style.fill = paint;
    }
    const cursor = make("line", {class: "cursor", y1: top, y2: height - bottom}, svg);
    cursor.setAttribute("x1", across(x[place]));
    cursor.setAttribute("x2", across(x[place]));
  };
  const control = slider(figure, chart.over, x.length, place, moved => {
    place = moved;
    const words = chart.lines.map((line, index) => {
      let at = place;
      if (!chart.whole) while (at > 0 && line.y[at] === null) at--;  // of a cost, the last value before it
      const text = shown(line.y[at], chart.digits);
      values.get(index).textContent = text;
      return line.name + " " + text;
    });
    const cursor = svg.querySelector(".cursor");
    if (cursor) for (const end of ["x1", "x2"]) cursor.setAttribute(end, across(x[place]));
    return [chart.whole ? String(x[place]) : shown(x[place], 1), words.join(", ")];
  });
  const follow = event => {
    const box = svg.getBoundingClientRect(), at = event.clientX - box.left;
    let nearest = 0;
    x.forEach((value, i) => { if (Math.abs(across(value) - at) < Math.abs(across(x[nearest]) - at)) nearest = i; });
    control.to(nearest);
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  draw();
  control.moved();
  let width = figure.clientWidth;
  new ResizeObserver(() => { if (figure.clientWidth !== width) { width = figure.clientWidth; draw(); } })
    .observe(figure);
};
"""
