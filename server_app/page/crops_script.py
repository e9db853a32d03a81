"""Held-out crops before and after: a slider between two pictures, one over rounds, and a few frames that move."""

CROPS = """
const drawCrops = (box, crops) => {
  const kinds = crops.kinds, stages = [], controls = element("div", "", box), sliders = element("div", "", box);
  controls.className = "controls";
  const looks = kinds.map((kind, k) => kind.pictures.map((picture, p) => {
    const name = "--picture-" + k + "-" + p;
    document.documentElement.style.setProperty(name, "url(" + picture.source + ")");
    return "var(" + name + ")";
  }));
  const choose = (label, start) => {
    const whole = element("label", label + " ", controls), choice = element("select", "", whole);
    for (const [k, kind] of kinds.entries()) element("option", kind.name, choice).value = k;
    choice.value = start;
    choice.addEventListener("change", () => show());
    return choice;
  };
  const left = choose("Left", crops.left), right = choose("Right", crops.right);
  const over = Math.max(...kinds.map(kind => kind.pictures.length));
  let round = over - 1, share = 50, frame = crops.still, timer = null;
  const list = element("div", "", box);
  list.className = "crops";
  for (const clip of crops.clips) {
    const figure = element("figure", "", list), stage = element("div", "", figure);
    stage.className = "stage";
    stage.setAttribute("role", "img");
    const after = element("div", "", stage), before = element("div", "", stage), handle = element("div", "", stage);
    handle.className = "handle";
    const caption = element("figcaption", clip, figure), scores = element("p", "", figure);
    scores.className = "about";
    stages.push({stage, before, after, handle, scores, clip});
    const follow = event => {
      const bounds = stage.getBoundingClientRect();
      cut.to(Math.round(Math.min(Math.max((event.clientX - bounds.left) / bounds.width, 0), 1) * 100));
    };
    stage.addEventListener("pointermove", follow);
    stage.addEventListener("pointerdown", follow);
  }
  const pictureOf = kind => Math.min(kind.pictures.length - 1, round);
  const fill = (node, k, row) => {
    const p = pictureOf(kinds[k]), picture = kinds[k].pictures[p], column = picture.columns > 1 ? frame : 0;
    node.style.backgroundImage = looks[k][p];
    node.style.backgroundSize = picture.columns * 100 + "% " + crops.clips.length * 100 + "%";
    const at = (place, of) => (of > 1 ? 100 * place / (of - 1) : 0) + "%";
    node.style.backgroundPosition = at(column, picture.columns) + " " + at(row, crops.clips.length);
  };
  const moves = () => [left, right].every(choice => {
    const kind = kinds[choice.value];
    return kind.pictures[pictureOf(kind)].columns > 1;
  });
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play the clip"; };
  const show = () => {
    if (!moves()) { stop(); frame = crops.still; }
    play.disabled = !moves();
    for (const [row, {stage, before, after, handle, scores, clip}] of stages.entries()) {
      fill(after, right.value, row);
      fill(before, left.value, row);
      before.style.clipPath = "inset(0 " + (100 - share) + "% 0 0)";
      handle.style.left = share + "%";
      const words = [left, right].map(choice => {
        const kind = kinds[choice.value], picture = kind.pictures[pictureOf(kind)];
        const when = kind.pictures.length > 1 ? " after round " + picture.round : "";
        return kind.name + when + (picture.scores && picture.scores[row] ? ", " + picture.scores[row] : "");
      });
      scores.textContent = "Left: " + words[0] + ". Right: " + words[1] + ".";
      stage.setAttribute("aria-label", "Crop of " + clip + ". " + scores.textContent);
    }
  };
  const play = element("button", "Play the clip", null);
  play.type = "button";
  if (crops.frames > 1) controls.append(play);
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = "Pause";
    timer = setInterval(() => { frame = (frame + 1) % crops.frames; show(); }, 120);
  });
  const cut = slider(sliders, "Left / right", 101, 50, place => { share = place; show(); return [place + " %"]; });
  cut.input.className = "cut";
  if (over > 1) {
    const longest = kinds.find(kind => kind.pictures.length === over);
    const rounds = slider(sliders, "Round", over, over - 1, place => {
      round = place;
      show();
      return [String(longest.pictures[place].round)];
    });
    rounds.input.className = "rounds";
    rounds.moved();
  }
  cut.moved();
};
"""
