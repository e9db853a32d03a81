"""The grid of clients by rounds: a cell each, coloured by what is chosen, told in words."""

GRID = """
const drawGrid = (box, grid) => {
  const canvas = element("canvas", "", element("div", "", box)), controls = element("div", "", box);
  canvas.className = "grid";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Clients by rounds; the two sliders below go through the cells");
  const scroller = canvas.parentNode;
  scroller.className = "scroll";
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", "Clients by rounds");
  const told = element("p", "", box);
  told.className = "told";
  told.setAttribute("aria-live", "polite");
  const choice = element("select", "", null), label = element("label", "Colour by ", null);
  for (const name in grid.numbers) element("option", name, choice).value = name;
  label.append(choice);
  const row = document.createElement("div");
  row.className = "controls";
  row.append(label);
  box.prepend(row);
  if (remembered.colour && remembered.colour in grid.numbers) choice.value = remembered.colour;
  let client = 0, round = grid.rounds.length - 1, cell = 0, tall = 0;
  const names = 118;
  const mix = (low, high, share) => {
    const part = i => parseInt(low.slice(i, i + 2), 16) * (1 - share) + parseInt(high.slice(i, i + 2), 16) * share;
    return "rgb(" + [1, 3, 5].map(i => Math.round(part(i))).join(",") + ")";
  };
  const draw = () => {
    const look = getComputedStyle(document.documentElement), get = name => look.getPropertyValue(name).trim();
    const ratio = window.devicePixelRatio || 1;
    cell = Math.min(28, Math.max(3, (scroller.clientWidth - names) / grid.rounds.length));
    tall = Math.min(22, Math.max(5, 560 / grid.clients.length));
    const width = names + cell * grid.rounds.length, height = tall * grid.clients.length;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const brush = canvas.getContext("2d");
    brush.scale(ratio, ratio);
    const numbers = grid.numbers[choice.value];
    const known = numbers.flat().filter(value => value !== null);
    const spread = [Infinity, -Infinity];
    for (const value of known) { spread[0] = Math.min(spread[0], value); spread[1] = Math.max(spread[1], value); }
    const share = value => spread[1] > spread[0] ? (value - spread[0]) / (spread[1] - spread[0]) : .5;
    const gap = cell > 5 && tall > 6 ? 1 : 0, labelled = Math.ceil(13 / tall);
    brush.font = "12px system-ui, sans-serif";
    brush.textBaseline = "middle";
    for (let c = 0; c < grid.clients.length; c++) {
      if (c % labelled === 0) {
        brush.fillStyle = get("--soft");
        brush.fillText(grid.clients[c], 0, tall * (c + .5), names - 8);
      }
      for (let r = 0; r < grid.rounds.length; r++) {
        const state = grid.states[c][r], value = numbers[c][r], x = names + r * cell, y = c * tall;
        brush.fillStyle = state === "x" ? get("--bad") : state === "." ? get("--absent")
          : value === null ? get("--soft") : mix(get("--low"), get("--high"), share(value));
        brush.fillRect(x, y, cell - gap, tall - gap);
        if (state === "x" && cell > 7 && tall > 7) {
          brush.strokeStyle = get("--paper");
          brush.beginPath();
          brush.moveTo(x + 2, y + 2);
          brush.lineTo(x + cell - gap - 2, y + tall - gap - 2);
          brush.moveTo(x + cell - gap - 2, y + 2);
          brush.lineTo(x + 2, y + tall - gap - 2);
          brush.stroke();
        }
      }
    }
    brush.strokeStyle = get("--c1");
    brush.lineWidth = 2;
    brush.strokeRect(names + round * cell - 1, client * tall - 1, cell + 2 - gap, tall + 2 - gap);
    bounds.textContent = known.length
      ? choice.value + ", from " + spread[0].toPrecision(3) + " (pale) to " + spread[1].toPrecision(3) + " (full)" : "";
  };
  const key = element("p", "", null), bounds = element("span", "", key);
  key.className = "key";
  for (const [name, colour] of [["refused or lost", "--bad"], ["took no part", "--absent"]]) {
    const entry = element("span", "", key), mark = element("i", "", entry);
    mark.style.background = "var(" + colour + ")";
    entry.append(name);
  }
  scroller.after(key);
  const tell = () => {
    const state = grid.states[client][round], words = [grid.clients[client] + ", round " + grid.rounds[round]];
    if (state === "x") {
      const [code, reason] = grid.reasons[grid.why[client + "," + round]];
      words.push("left out (" + code + "): " + reason);
    } else if (state === ".") words.push("took no part");
    else words.push("trained; " + Object.keys(grid.numbers).filter(name => grid.numbers[name][client][round] !== null)
      .map(name => name + " " + Number(grid.numbers[name][client][round].toPrecision(4))).join(", "));
    told.textContent = words.join(": ");
    draw();
    return words;
  };
  const byRound = slider(controls, "Round", grid.rounds.length, round, place => {
    round = place;
    return [String(grid.rounds[round]), tell()[1]];
  });
  const byClient = slider(controls, "Client", grid.clients.length, client, place => {
    client = place;
    return [grid.clients[client].slice(0, 14), tell()[1]];
  });
  canvas.addEventListener("click", event => {
    const box = canvas.getBoundingClientRect();
    const r = Math.floor((event.clientX - box.left - names) / cell), c = Math.floor((event.clientY - box.top) / tall);
    if (grid.rounds[r] === undefined || grid.clients[c] === undefined) return;
    byClient.to(c);
    byRound.to(r);
  });
  choice.addEventListener("change", () => { remember("colour", choice.value); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  byRound.moved();
  byClient.moved();
  let width = scroller.clientWidth;
  new ResizeObserver(() => { if (scroller.clientWidth !== width) { width = scroller.clientWidth; draw(); } })
    .observe(scroller);
};
"""
