"""What starts a page's parts, and keeps what its reader has chosen when it is loaded again."""

START = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
let remembered = {};
try { remembered = JSON.parse(sessionStorage.getItem("report")) || {}; } catch (error) { remembered = {}; }
const remember = (name, value) => {
  remembered[name] = value;
  try { sessionStorage.setItem("report", JSON.stringify(remembered)); } catch (error) { return; }
};
"""

END = """
for (const chart of data.charts) drawChart(document.getElementById(chart.id), chart);
for (const each of data.intervals || []) drawIntervals(document.getElementById(each.id), each);
if (data.crops) drawCrops(document.getElementById("crops"), data.crops);
if (data.grid) drawGrid(document.getElementById("grid"), data.grid);
const reload = document.getElementById("reload");
if (reload) {
  const again = () => { remember("top", window.scrollY); location.reload(); };
  let timer = null;
  const set = () => {
    clearInterval(timer);
    timer = reload.checked ? setInterval(again, 10000) : null;
    remember("reload", reload.checked);
  };
  reload.checked = remembered.reload === true;
  reload.addEventListener("change", set);
  if (reload.checked) set();
}
if (data.live) {
  const told = new EventSource("events");
  told.onmessage = event => {
    if (event.data !== data.live) { remember("top", window.scrollY); told.close(); location.reload(); }
  };
}
if (remembered.top) { window.scrollTo({top: remembered.top, behavior: "instant"}); remember("top", 0); }
"""
