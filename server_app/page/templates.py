"""The words and the order of a page, as jinja2 templates; every value is escaped where it is put in."""

BASE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="FedVSR">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<link rel="icon" href="data:,">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<a class="skip" href="#top">To the figures</a>
<header>
<h1>{{ title }}</h1>
<p class="state {{ mood }}">{{ state }}</p>
{% if can_reload %}
<p class="live"><label><input type="checkbox" id="reload"> Load this page again every ten seconds</label></p>
{% endif %}
<nav aria-label="Parts of this page"><ul>
{% for name, heading in parts %}<li><a href="#{{ name }}">{{ heading }}</a></li>
{% endfor %}</ul></nav>
<dl class="figures">
{% for name, value in figures %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
</header>
<main id="top" tabindex="-1">
<noscript><p>Charts, crops and the grid need JavaScript; the tables don't.</p></noscript>
{% block parts %}{% endblock %}
</main>
<footer><p>{{ footer }}</p></footer>
<script type="application/json" id="data">{{ data|tojson }}</script>
<script>{{ script }}</script>
</body>
</html>
"""

PIECES = """
{% macro charts(list) %}
<div class="charts">
{% for chart in list %}<figure id="{{ chart.id }}"><figcaption>{{ chart.title }}</figcaption></figure>
{% endfor %}</div>
{% endmacro %}

{% macro table(caption, header, rows, numbers=0) %}
<div class="scroll" role="region" aria-label="{{ caption }}" tabindex="0"><table>
<caption>{{ caption }}</caption>
<thead><tr>{% for cell in header %}<th scope="col"{% if loop.index0 >= numbers %} class="number"{% endif %}>{{ cell }}\
</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}<tr>{% for cell in row %}\
<td{% if loop.index0 >= numbers %} class="number"{% endif %}>{{ bold(cell|string) if loop.index0 >= numbers else cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endmacro %}

{% macro bold(cell) %}
{% if cell.startswith("**") %}<strong>{{ cell.strip("*") }}</strong>{% else %}{{ cell }}{% endif %}
{% endmacro %}

{% macro crops(note) %}
<section aria-labelledby="crops-heading">
<h2 id="crops-heading">Before and after</h2>
<p class="about">{{ note }}</p>
<div id="crops"></div>
</section>
{% endmacro %}
"""

RUN = """{% extends "base" %}
{% from "pieces" import charts, table, crops %}
{% block parts %}
<section id="quality" aria-labelledby="quality-heading">
<h2 id="quality-heading">Does the picture get better?</h2>
<p class="about">{{ protocol }}</p>
{{ charts(scores) }}
{% if score_rows %}
<details><summary>The numbers</summary>
{{ table("Mean of the held-out clips", score_header, score_rows, 1) }}
{{ table("By clip, newest scoring", clip_header, clip_rows, 1) }}
</details>
{% endif %}
</section>
{% if with_crops %}{{ crops(crops_note) }}{% endif %}
<section id="clients" aria-labelledby="clients-heading">
<h2 id="clients-heading">Which client did what?</h2>
<p class="about">{{ grid_note }}</p>
<div id="grid"></div>
{% if refused_rows %}
{{ table("Replies left out", ["Client", "Code", "Times", "Rounds", "Last reason"], refused_rows, 5) }}
{% endif %}
{% if own_rows %}{{ table(own_caption, own_header, own_rows, 1) }}{% endif %}
</section>
<section id="training" aria-labelledby="training-heading">
<h2 id="training-heading">Is it learning?</h2>
<p class="about">The training loss of each client, and the parts that it is the sum of. With more than eight clients
their mean is drawn in a band from the lowest to the highest.</p>
{{ charts(losses) }}
</section>
<section id="weights" aria-labelledby="weights-heading">
<h2 id="weights-heading">How much does each client count?</h2>
<p class="about">{{ weights_note }}</p>
{{ charts(weights) }}
</section>
<section id="costs" aria-labelledby="costs-heading">
<h2 id="costs-heading">What does it cost?</h2>
<p class="about">{{ costs_note }}</p>
{{ charts(costs) }}
</section>
<section id="repeat" aria-labelledby="repeat-heading">
<h2 id="repeat-heading">What ran, and how to repeat it</h2>
{% if command %}<pre>{{ command }}</pre>{% endif %}
{{ table("What ran", ["", ""], facts, 2) }}
{% if configuration %}<details><summary>The whole configuration</summary><pre>{{ configuration }}</pre></details>{% endif %}
</section>
{% endblock %}
"""

COMPARISON = """{% extends "base" %}
{% from "pieces" import charts, table, crops %}
{% block parts %}
<section id="quality" aria-labelledby="quality-heading">
<h2 id="quality-heading">Which strategy is better?</h2>
<p class="about">{{ scores_note }}</p>
{% if intervals %}
<h3>Difference to {{ reference }}</h3>
<div class="charts">
{% for each in intervals %}<figure id="{{ each.id }}"><figcaption>{{ each.title }}</figcaption></figure>
{% endfor %}</div>
{% endif %}
{{ table("Scores of the final models", score_header, score_rows, 1) }}
{% if own_rows %}{{ table("On the clients' own held-out clips", own_header, own_rows, 1) }}{% endif %}
</section>
<section id="curves" aria-labelledby="curves-heading">
<h2 id="curves-heading">How do they get there?</h2>
<p class="about">{{ curves_note }}</p>
{{ charts(curves) }}
</section>
{% if with_crops %}{{ crops(crops_note) }}{% endif %}
<section id="costs" aria-labelledby="costs-heading">
<h2 id="costs-heading">What does a round cost?</h2>
{{ table("Medians of this comparison; in brackets above the reference", cost_header, cost_rows, 1) }}
{% if tuning_rows %}{{ table("Tuning: final scores on other seeds; in bold what a strategy enters with", tuning_header,
tuning_rows, 1) }}{% endif %}
</section>
<section id="repeat" aria-labelledby="repeat-heading">
<h2 id="repeat-heading">What ran, and how to repeat it</h2>
<pre>{{ command }}</pre>
{{ table("What ran", ["", ""], facts, 2) }}
</section>
{% endblock %}
"""
