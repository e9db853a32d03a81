"""How a report looks: dark and light, wide and narrow."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f4f6f8; --ink: #16202a; --soft: #4d5966; --rule: #d5dbe1; --accent: #0b5cad;
  --good: #0b6b3a; --bad: #a51c30; --absent: #e6eaee;
  --c0: #0072b2; --c1: #b34700; --c2: #00795a; --c3: #a8457f; --c4: #8a6100; --c5: #2b7fae; --c6: #6b4c1f;
  --c7: #5d3a9b; --strong: #16202a; --low: #dbe9f6; --high: #08306b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161b21; --ground: #0e1216; --ink: #e8edf2; --soft: #aab5c0; --rule: #323b45; --accent: #7db8f0;
    --good: #62d394; --bad: #ff8a95; --absent: #232b33;
    --c0: #56b4e9; --c1: #ff9a52; --c2: #3ddba8; --c3: #ee9ac6; --c4: #f0c24b; --c5: #8fd0f5; --c6: #cfa76a;
    --c7: #b79cf0; --strong: #f2f5f8; --low: #14304d; --high: #d6e9ff;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main, header, footer { max-width: 70rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: 0 0 .75rem; }
a { color: var(--accent); }
section { background: var(--paper); border: 1px solid var(--rule); border-radius: .6rem; padding: 1.1rem;
  margin: 1rem 0; }
.about { color: var(--soft); font-size: .9rem; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: .75rem 0 0; padding: 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .2rem; }
.state { font-weight: 600; overflow-wrap: anywhere; }
.state.good { color: var(--good); }
.state.bad { color: var(--bad); }
dl.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem;
  margin: 1rem 0 0; }
dl.figures div { background: var(--paper); border: 1px solid var(--rule); border-radius: .6rem;
  padding: .7rem .9rem; display: flex; flex-direction: column-reverse; justify-content: flex-end; }
dl.figures dt { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
dl.figures dd { margin: 0; font-size: 1.35rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; overflow-wrap: anywhere; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
svg .rule { stroke: var(--rule); stroke-width: 1; }
svg .cursor { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.reference { stroke-dasharray: 6 4; }
svg .band { opacity: .18; stroke: none; }
svg { display: block; width: 100%; touch-action: pan-y; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem; margin: .25rem 0 0; }
button, select { font: inherit; font-size: .875rem; color: inherit; background: var(--paper);
  border: 1px solid var(--soft); border-radius: .4rem; padding: .3rem .6rem; max-width: 100%; min-height: 1.9rem; }
.legend button { border-color: var(--rule); display: inline-flex; align-items: center; gap: .4rem; text-align: left;
  overflow-wrap: anywhere; }
.legend button[aria-pressed="false"] { text-decoration: line-through; color: var(--soft); }
.legend b { font-variant-numeric: tabular-nums; white-space: nowrap; }
.swatch { flex: none; width: 1.1rem; border-top: .25rem solid; }
.swatch.dashed { border-top-style: dashed; }
.intervals { list-style: none; margin: .25rem 0 0; padding: 0; font-size: .875rem; }
.intervals li { display: grid; grid-template-columns: minmax(4.5rem, 9rem) minmax(6rem, 1fr) auto; gap: .6rem;
  align-items: center; padding: .2rem 0; border-bottom: 1px solid var(--rule); }
.intervals .name { overflow-wrap: anywhere; }
.intervals b { font-weight: 600; font-variant-numeric: tabular-nums; text-align: right; }
.intervals .track { position: relative; height: 1.5rem; }
.intervals i { position: absolute; }
.intervals .zero { top: 0; bottom: 0; border-left: 2px dotted var(--soft); }
.intervals .span { top: .65rem; height: .2rem; border-radius: .1rem; }
.intervals .middle { top: .4rem; width: .7rem; height: .7rem; margin-left: -.35rem; border-radius: 50%; }
@media (max-width: 30rem) {
  .intervals li { grid-template-columns: 1fr auto; }
  .intervals .track { grid-row: 2; grid-column: 1 / 3; }
}
.slider { display: grid; grid-template-columns: auto 1fr auto; gap: .6rem; align-items: center;
  font-size: .875rem; margin: .35rem 0; }
.slider output { min-width: 4.5em; text-align: right; font-variant-numeric: tabular-nums; }
input[type=range] { width: 100%; min-width: 0; height: 1.75rem; accent-color: var(--accent); margin: 0; }
.controls { display: flex; flex-wrap: wrap; gap: .6rem 1.25rem; align-items: center; margin: 0 0 .5rem; }
.controls label { font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
td { overflow-wrap: anywhere; }
td:first-child { min-width: 8rem; }
td:last-child:not(.number):not(:first-child) { min-width: 12rem; }
th { font-weight: 600; }
td.number, th.number { text-align: right; overflow-wrap: normal; }
td.number { white-space: nowrap; }
th { vertical-align: bottom; }
th.number { min-width: 5.5rem; }
code, pre { font: .85rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--ground); border: 1px solid var(--rule); border-radius: .4rem; padding: .75rem;
  white-space: pre-wrap; margin: 0 0 .75rem; }
details { margin: .75rem 0 0; }
summary { cursor: pointer; padding: .2rem 0; }
.crops { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: 1rem; }
.stage { position: relative; aspect-ratio: 1; overflow: hidden; border-radius: .4rem; background: var(--absent);
  cursor: ew-resize; touch-action: pan-y; }
.stage > div { position: absolute; inset: 0; background-repeat: no-repeat; image-rendering: pixelated; }
.stage .handle { width: 2px; background: #fff; box-shadow: 0 0 0 1px #000; inset: 0 auto 0 50%; }
.grid { display: block; cursor: crosshair; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .85rem; color: var(--soft); margin: .5rem 0; }
.key i { display: inline-block; width: .9rem; height: .9rem; margin-right: .35rem; vertical-align: -.15rem;
  border: 1px solid var(--soft); }
.told { min-height: 3em; font-size: .9rem; overflow-wrap: anywhere; }
@media print { nav, .controls, .slider, .live { display: none; } section { break-inside: avoid; } }
"""
