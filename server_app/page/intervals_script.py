"""Differences with their intervals: a row each, around the line where there is none."""

INTERVALS = """
const drawIntervals = (figure, intervals) => {
  const ends = intervals.rows.flatMap(row => [row.low, row.high]);
  const low = Math.min(0, ...ends), high = Math.max(0, ...ends), span = (high - low) || 1;
  const across = value => 4 + 92 * (value - low) / span + "%";
  const list = element("ul", "", figure);
  list.className = "intervals";
  for (const row of intervals.rows) {
    const item = element("li", "", list), name = element("span", row.name, item), track = element("div", "", item);
    element("b", row.text, item);
    name.className = "name";
    track.className = "track";
    for (const [kind, from, to] of [["zero", 0, 0], ["span", row.low, row.high], ["middle", row.mean, row.mean]]) {
      const mark = element("i", "", track);
      mark.className = kind;
      mark.style.left = across(from);
      if (to > from) mark.style.width = "calc(" + across(to) + " - " + across(from) + ")";
      if (kind !== "zero") mark.style.background = "var(" + row.colour + ")";
    }
  }
};
"""
