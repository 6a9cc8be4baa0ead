"use strict";
// The page: what the address says is shown. Everything that comes from the database is put in as
// text, never as HTML.

const index = JSON.parse(document.getElementById("index").textContent);
const texts = index.texts;
const SERIES = ["actual", "smoothed", "scenario", "forecast", "sample", "containers"];
const OFF_AT_FIRST = ["containers"];
const ROWS_AT_FIRST = matchMedia("(max-width: 46rem)").matches ? 10 : 40;
// of feed conversions at least this share is drawn: where the largest is more than twice as large as
// that, it would press the others flat
const FCR_SHARE_SHOWN = 0.95;
const PRINT_WIDTH = 700; // of charts on A4 and letter paper [px]

// For the browser's console and for tests: what is shown, and the charts that show it. The body's
// data-ready says when.
window.anchorline = { index, state: null, tables: null, series: null, charts: {} };
const handle = window.anchorline;

// -- words and numbers ------------------------------------------------------------------------

function say(key, values = {}) {
  if (!(key in texts)) throw new Error(`no text for ${key}`);
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const sayCode = (code) => (code === null ? texts.none : (texts[`code_${code}`] ?? code));
const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);

const formatters = new Map();
function formatNumber(value, digits, options = {}) {
  const key = JSON.stringify([digits, options]);
  if (!formatters.has(key)) {
    const places = { minimumFractionDigits: digits ?? 0, maximumFractionDigits: digits ?? 2 };
    formatters.set(key, new Intl.NumberFormat(texts.intl, { ...places, ...options }));
  }
  return formatters.get(key).format(value);
}

const longDay = new Intl.DateTimeFormat(texts.intl, { dateStyle: "medium", timeZone: "UTC" });
const shortDay = new Intl.DateTimeFormat(texts.intl, {
  day: "numeric", month: "short", year: "2-digit", timeZone: "UTC",
});
// no line ends within a date
const formatDay = (day) =>
  (isMissing(day) ? texts.none : longDay.format(day * DAY_MS).replaceAll(" ", "\u00a0"));

const known = (format) => (value) => (isMissing(value) ? texts.none : format(value));
const formatWeight = known((grams) => say("unit_g", { number: formatNumber(grams, grams < 10 ? 2 : 0) }));
const formatCount = known((count) => formatNumber(count, 0));
const formatFish = known((count) => say("unit_fish", { number: formatNumber(count, 0) }));
const formatBiomass = known((kg) =>
  Math.abs(kg) < 1000
    ? say("unit_kg", { number: formatNumber(kg, Math.abs(kg) < 10 ? 2 : 0) })
    : say("unit_t", { number: formatNumber(kg / 1000, 1) }),
);
const formatPercent = known((percent) => say("unit_percent", { number: formatNumber(percent, 1) }));
const formatSigned = known((percent) =>
  say("unit_percent", { number: formatNumber(percent, 1, { signDisplay: "exceptZero" }) }),
);
const formatConfidence = known((confidence) => formatNumber(confidence, 2));
const formatFcr = known((fcr) => formatNumber(fcr, 2));
const formatDays = known((days) =>
  say(Math.abs(days) === 1 ? "unit_day" : "unit_days", { number: formatNumber(days) }),
);

function formatAhead(days) {
  if (isMissing(days)) return texts.none;
  return say(days < 0 ? "days_behind" : "days_ahead", { days: formatDays(Math.abs(Math.round(days))) });
}

function formatRange(from, to) {
  return from === to ? from : say("from_to", { from, to });
}

// -- elements ---------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function swatch(name) {
  const colour = colourOf(name);
  const box = { class: "swatch", viewBox: "0 0 32 14", "aria-hidden": "true" };
  if (name === "sample") {
    return drawn("svg", box, drawn("path", { d: "M16 2 L21 7 L16 12 L11 7 Z", fill: colour }));
  }
  const dash = DASHES[name].join(" ");
  const stroke = { d: "M0 7 H32", stroke: colour, "stroke-width": 3, "stroke-dasharray": dash };
  return drawn("svg", box, drawn("path", stroke));
}

function curve({ actual, scenario }, label) {
  const points = [...actual, ...scenario];
  if (!points.length) return texts.none;
  const days = points.map(([day]) => day);
  const [first, last] = [Math.min(...days), Math.max(...days)];
  const highest = Math.max(...points.map(([, weight]) => weight)) || 1;
  const place = ([day, weight]) =>
    `${(2 + (96 * (day - first)) / (last - first || 1)).toFixed(1)} ${(26 - (24 * weight) / highest).toFixed(1)}`;
  const path = (name, some) => drawn("path", { class: name, d: `M${some.map(place).join(" L")}` });
  const box = { class: "curve", viewBox: "0 0 100 28", preserveAspectRatio: "none", role: "img" };
  return drawn(
    "svg", { ...box, "aria-label": label },
    ...(scenario.length ? [path("scenario", scenario)] : []),
    ...(actual.length ? [path("actual", actual)] : []),
  );
}

// Columns: {key, label, cell(row) -> text or node, value(row) for sorting, isNumber}
function table(columns, rows, { caption, sort, onSort, isStacked, rowsAtFirst = Infinity }) {
  const heads = columns.map((column) => {
    const isSorted = sort !== undefined && sort.key === column.key;
    const attributes = {
      scope: "col",
      class: column.isNumber ? "number" : null,
      "aria-sort": isSorted ? (sort.isDown ? "descending" : "ascending") : null,
    };
    if (!onSort || !column.value) return element("th", attributes, column.label);
    const label = say("sort_by", { column: column.label });
    const press = () => onSort(column.key, isSorted ? !sort.isDown : false);
    return element("th", attributes,
      element("button", { type: "button", title: label, "data-sort": column.key, onclick: press }, column.label));
  });
  const body = element("tbody");
  const fill = (some) =>
    some.forEach((row) =>
      body.append(element("tr", {}, ...columns.map((column, place) =>
        element(
          place ? "td" : "th",
          {
            scope: place ? null : "row",
            class: column.isNumber ? "number" : null,
            "data-label": column.label,
          },
          column.cell(row),
        )))));
  fill(rows.slice(0, rowsAtFirst));
  const made = element("table", { class: isStacked ? "stacked" : null },
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, ...heads)), body);
  if (rows.length <= rowsAtFirst) return [made];
  const more = element("button", { type: "button", class: "more", onclick: () => {
    fill(rows.slice(rowsAtFirst));
    more.remove();
  } }, say("show_all", { count: formatCount(rows.length) }));
  return [made, more];
}

function sorted(rows, value, isDown) {
  const collator = new Intl.Collator(texts.intl, { numeric: true });
  const order = (one, other) =>
    typeof one === "string" ? collator.compare(one, other) : one - other;
  return rows.toSorted((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b); // the unknown last
    return isDown ? order(b, a) : order(a, b);
  });
}

// -- the address ------------------------------------------------------------------------------

function readState() {
  const found = new URLSearchParams(location.hash.slice(1));
  const batch = index.batches.find((entry) => String(entry.batch_id) === found.get("batch"));
  const container = batch?.containers.find((entry) => String(entry.id) === found.get("container"));
  const scenarios = batch?.scenarios.map(({ id }) => id) ?? [];
  const hidden = found.get("hide");
  const ownStep = batch && lifeDays(batch) >= index.weekly_from_days ? "weekly" : "daily";
  return {
    batch: batch ?? null,
    container: container ?? null,
    scenario: scenarios.find((id) => String(id) === found.get("plan")) ?? batch?.scenario_id ?? null,
    step: ["daily", "weekly"].includes(found.get("step")) ? found.get("step") : ownStep,
    hidden: hidden === null ? OFF_AT_FIRST : hidden.split(",").filter((name) => SERIES.includes(name)),
    period: ["180", "60"].includes(found.get("period")) ? found.get("period") : "all",
    search: found.get("search") ?? "",
    onlyWithFish: found.get("fish") === "1",
    sort: { key: found.get("sort") ?? "batch", isDown: found.get("down") === "1" },
  };
}

function lifeDays(batch) {
  const whole = batch.summaries[0];
  return whole ? whole.state_date - batch.start_date + 1 : 0;
}

// Changes of what is shown beside the batch itself replace the address; others can be gone back from.
function goTo(changes, { isStep = false } = {}) {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") found.delete(name);
    else found.set(name, value);
  }
  const address = `#${found}`;
  if (isStep) {
    location.hash = address;
  } else {
    history.replaceState(null, "", address);
    show({ isUpdate: true });
  }
}

const addressOf = (values) => `#${new URLSearchParams(values)}`;

// -- the start page ---------------------------------------------------------------------------

const wholeOf = (batch) => batch.summaries[0] ?? {};

const START_COLUMNS = [
  {
    key: "batch", label: texts.column_batch, value: (batch) => batch.batch_number,
    cell: (batch) => element("a", { href: addressOf({ batch: batch.batch_id }) }, batch.batch_number),
  },
  {
    key: "stage", label: texts.column_stage, value: (batch) => wholeOf(batch).lifecycle_stage_name,
    cell: (batch) => wholeOf(batch).lifecycle_stage_name ?? texts.none,
  },
  {
    key: "curve", label: texts.column_curve,
    cell: (batch) => curve(batch.curves, say("curve_label", {
      first: formatWeight(batch.curves.actual[0]?.[1]),
      last: formatWeight(batch.curves.actual.at(-1)?.[1]),
    })),
  },
  figure("weight", "column_weight", "avg_weight_g", formatWeight),
  figure("population", "column_population", "population", formatCount),
  figure("biomass", "column_biomass", "biomass_kg", formatBiomass),
  {
    key: "variance", label: texts.column_variance, isNumber: true,
    value: (batch) => wholeOf(batch).variance_percent,
    cell: (batch) => varianceCell(wholeOf(batch).variance_percent),
  },
  {
    key: "ahead", label: texts.column_days_ahead, isNumber: true,
    value: (batch) => wholeOf(batch).days_ahead,
    cell: (batch) => formatAhead(wholeOf(batch).days_ahead),
  },
  {
    key: "harvest", label: texts.column_harvest, value: (batch) => wholeOf(batch).first_harvest_date,
    cell: (batch) => harvestDates(wholeOf(batch)),
  },
  {
    key: "anchor", label: texts.column_last_anchor, value: (batch) => wholeOf(batch).last_anchor_date,
    cell: (batch) => formatDay(wholeOf(batch).last_anchor_date),
  },
];

function figure(key, label, name, format) {
  return {
    key, label: texts[label], isNumber: true,
    value: (batch) => wholeOf(batch)[name],
    cell: (batch) => format(wholeOf(batch)[name]),
  };
}

function varianceCell(percent) {
  const isFar = !isMissing(percent) && Math.abs(percent) > index.callout_percent;
  return element("span", { class: isFar ? "warning" : null }, `${isFar ? "! " : ""}${formatSigned(percent)}`);
}

function harvestDates(summary) {
  if (isMissing(summary.harvest_weight_g)) return texts.none;
  if (isMissing(summary.first_harvest_date)) return texts.harvest_beyond;
  return formatRange(formatDay(summary.first_harvest_date), formatDay(summary.last_harvest_date));
}

function showStart(state) {
  document.title = texts.title;
  header().replaceChildren(element("h1", {}, texts.title));
  if (!index.batches.length) {
    main().replaceChildren(element("p", { class: "note" }, texts.no_batches));
    return;
  }
  const found = element("div");
  const count = element("p", { class: "quiet", role: "status" });
  const list = (now) => {
    const wanted = now.search.toLocaleLowerCase(texts.intl);
    const matching = index.batches.filter((batch) =>
      (!now.onlyWithFish || wholeOf(batch).has_fish)
      && [batch.batch_number, wholeOf(batch).lifecycle_stage_name, batch.scenario_name]
        .some((name) => (name ?? "").toLocaleLowerCase(texts.intl).includes(wanted)));
    const column = START_COLUMNS.find(({ key, value }) => value && key === now.sort.key) ?? START_COLUMNS[0];
    const all = index.batches.length;
    count.textContent = say("batches_shown", { shown: formatCount(matching.length), all: formatCount(all) });
    const onSort = (key, isDown) => {
      goTo({ sort: key, down: isDown ? "1" : null });
      found.querySelector(`[data-sort="${key}"]`).focus();
    };
    found.replaceChildren(...(matching.length
      ? table(START_COLUMNS, sorted(matching, column.value, now.sort.isDown),
        { caption: texts.title, sort: { ...now.sort, key: column.key }, onSort, isStacked: true })
      : [element("p", { class: "note" }, texts.nothing_found)]));
  };
  const search = element("input", {
    type: "search", value: state.search, placeholder: texts.search_hint, id: "search",
    oninput: (event) => goTo({ search: event.target.value }),
  });
  const fish = element("input", {
    type: "checkbox", checked: state.onlyWithFish, id: "only-with-fish",
    onchange: (event) => goTo({ fish: event.target.checked ? "1" : null }),
  });
  main().replaceChildren(
    element("div", { class: "controls" },
      element("label", {}, texts.search, search),
      element("label", { class: "check" }, fish, texts.only_with_fish)),
    count, found);
  update = list;
  list(state);
}

// -- the series of a batch or a container -------------------------------------------------------

const whole = null; // the container of rows about the whole batch
const rowsOf = (some, container) => {
  const rows = [];
  for (let row = 0; row < some.rows; row++) {
    const own = some.container_id[row];
    if (container === whole ? Number.isNaN(own) : own === container) rows.push(row);
  }
  return rows;
};
const weekOf = (day) => Math.floor((day + 3) / 7); // day 0 is a Thursday

// Of each week the last row, as in the weekly marts; `kind` keeps kinds of rows apart.
function thinned(days, rows, step, kind = () => "") {
  if (step === "daily") return rows;
  const last = new Map();
  for (const row of rows) last.set(`${weekOf(days[row])} ${kind(row)}`, row);
  return [...last.values()].toSorted((one, other) => one - other);
}

function picked(some, rows, names) {
  const made = { days: rows.map((row) => some.state_date[row]), rows };
  for (const name of names) made[name] = rows.map((row) => some[name][row]);
  return made;
}

function seriesOf(tables, { container, scenario, step }) {
  const key = container ? container.id : whole;
  const states = container ? tables.container_days : tables.batch_days;
  const stateRows = container ? rowsOf(states, key) : Array.from(states.state_date.keys());
  const of = (some, rows, names, kind) => picked(some, thinned(some.state_date, rows, step, kind), names);
  const figures = ["avg_weight_g", "population", "biomass_kg"];
  const bands = ["weight_low_g", "weight_high_g"];
  const planRows = Array.from(tables.scenario.state_date.keys()).filter((row) => {
    const own = tables.scenario.scenario_id[row];
    return scenario === null ? Number.isNaN(own) : own === scenario;
  });
  const actual = of(states, stateRows, figures);
  const forecast = of(tables.forecast, rowsOf(tables.forecast, key), [...figures, ...bands]);
  // a plan has no containers: beside one stands its weight, from the container's first day on
  const lastDay = forecast.days.at(-1) ?? actual.days.at(-1);
  const isOwn = (row) => {
    const day = tables.scenario.state_date[row];
    return !container || (day >= states.state_date[stateRows[0]] && day <= lastDay);
  };
  const plan = of(tables.scenario, planRows.filter(isOwn), figures);
  if (container) {
    plan.population = plan.population.map(() => NaN);
    plan.biomass_kg = plan.biomass_kg.map(() => NaN);
  }
  return {
    actual: { ...actual, allRows: stateRows },
    smoothed: of(tables.smoothed, rowsOf(tables.smoothed, key), ["avg_weight_g", ...bands]),
    scenario: plan,
    forecast,
    sample: of(tables.sample, rowsOf(tables.sample, key),
      ["avg_weight_g", "std_deviation_weight_g", "sample_size", "sample_type"],
      (row) => tables.sample.sample_type[row]),
    containers: container ? [] : handle.state.batch.containers.map(({ id, name }) => {
      const rows = rowsOf(tables.container_days, id);
      return { id, name, ...of(tables.container_days, rows, figures) };
    }),
  };
}

// The row of a day; of weeks that of the same week.
function placeOf(series, day, step) {
  const same = step === "weekly"
    ? (other) => weekOf(other) === weekOf(day)
    : (other) => other === day;
  return series.days.findIndex(same);
}

// -- one batch ----------------------------------------------------------------------------------

const header = () => document.getElementById("header");
const main = () => document.getElementById("main");
let update = () => {};
let isAbout = null; // the view whose elements stand on the page

async function showBatch(state) {
  const { batch, container } = state;
  document.title = `${batch.batch_number} – ${texts.title}`;
  const back = [element("a", { href: "#", class: "back" }, `← ${texts.back}`)];
  if (container) {
    back.push(" ", element("a", { href: addressOf({ batch: batch.batch_id }), class: "back", id: "back-to-batch" },
      `← ${texts.back_to_batch}`));
  }
  header().replaceChildren(
    element("nav", {}, ...back),
    element("h1", {}, container ? `${batch.batch_number}: ${nameOf(container)}` : batch.batch_number),
    element("p", { class: "quiet" }, [batch.species_name, container?.place].filter(Boolean).join(", ")));
  if (!batch.summaries.length) {
    main().replaceChildren(...planNotes(batch), element("p", { class: "note" }, texts.no_states));
  } else {
    main().replaceChildren();
  }
  const tables = await unpack(document.getElementById(`batch-${batch.batch_id}`).textContent);
  if (handle.state !== state) return; // gone elsewhere meanwhile
  handle.tables = tables;
  if (!batch.summaries.length && !tables.scenario.rows) return;
  const summary = batch.summaries.find(({ container_id }) => container_id === (container?.id ?? whole));
  const places = {};
  const chartPlace = (name, title, isTall) => {
    const live = element("p", { class: "hidden", role: "status" });
    const place = element("div", { class: isTall ? "chart tall" : "chart", tabindex: "0", "data-chart": name });
    places[name] = { place, live, title };
    return element("section", {}, element("h2", {}, title), place, live);
  };
  const fcr = feedConversion(tables, container);
  main().replaceChildren(
    ...planNotes(batch),
    ...(summary ? [callout(summary), cards(batch, summary)] : [element("p", { class: "note" }, texts.no_states)]),
    controls(state),
    chartPlace("weight", texts.chart_weight, true),
    chartPlace("population", texts.chart_population),
    chartPlace("biomass", texts.chart_biomass),
    element("section", {},
      ...(fcr.hasAny
        ? chartPlace("fcr", container ? texts.chart_fcr : texts.chart_fcr_batch).childNodes
        : [element("h2", {}, texts.chart_fcr), element("p", { class: "note" }, texts.fcr_none)]),
      ...[fcr.life, fcr.above].filter(Boolean).map((text) => element("p", { class: "quiet" }, text))),
    ...(container ? [] : [containerTable(batch)]),
    anchorTable(tables, batch, container));
  update = (now) => draw(now, tables, places, fcr);
  draw(state, tables, places, fcr);
}

const nameOf = ({ id, name }) => name ?? String(id);

function planNotes(batch) {
  return batch.scenario_source === "baseline" ? [element("p", { class: "note" }, texts.no_scenario)] : [];
}

function callout({ variance_percent: percent }) {
  if (isMissing(percent) || Math.abs(percent) <= index.callout_percent) return "";
  const key = percent > 0 ? "callout_above" : "callout_below";
  return element("p", { class: "note callout warning", id: "callout" },
    say(key, { percent: formatPercent(Math.abs(percent)) }));
}

function cards(batch, summary) {
  const card = (id, title, value, ...lines) =>
    element("section", { class: "card", id: `card-${id}` }, element("h2", {}, title),
      element("div", { class: "value" }, value),
      ...lines.filter(Boolean).map((text) => element("p", { class: "quiet" }, text)));
  const on = say(summary.has_fish ? "state_on" : "ended", { date: formatDay(summary.state_date) });
  const hasPlan = summary.days_with_plan > 0;
  const hasForecast = !isMissing(summary.harvest_weight_g);
  const quantiles = hasForecast && say("harvest_quantiles", {
    weight: formatWeight(summary.harvest_weight_g),
    p10: isMissing(summary.harvest_date_p10) ? texts.harvest_beyond : formatDay(summary.harvest_date_p10),
    p90: isMissing(summary.harvest_date_p90) ? texts.harvest_beyond : formatDay(summary.harvest_date_p90),
  });
  return element("div", { class: "cards" },
    card("weight", texts.card_weight, formatWeight(summary.avg_weight_g), on, summary.lifecycle_stage_name),
    card("population", texts.card_population, formatCount(summary.population)),
    card("biomass", texts.card_biomass, formatBiomass(summary.biomass_kg)),
    card("variance", texts.card_variance, formatSigned(summary.variance_percent),
      !isMissing(summary.days_ahead) && formatAhead(summary.days_ahead),
      hasPlan ? say("variance_mean", {
        mean: formatPercent(summary.mean_variance_percent), days: formatCount(summary.days_with_plan),
      }) : texts.no_plan,
      hasPlan && say("variance_largest", {
        largest: formatSigned(summary.largest_variance_percent),
        date: formatDay(summary.largest_variance_date),
      })),
    card("harvest", texts.card_harvest, hasForecast ? harvestDates(summary) : texts.harvest_none, quantiles,
      hasForecast && !isMissing(summary.planned_harvest_date)
        && say("harvest_planned", { date: formatDay(summary.planned_harvest_date) })),
    card("confidence", texts.card_confidence, formatConfidence(summary.confidence),
      isMissing(summary.last_anchor_date)
        ? texts.never_weighed
        : say("last_anchor", { date: formatDay(summary.last_anchor_date) })));
}

function controls(state) {
  const { batch, container } = state;
  const choice = (id, label, options, chosen, onchange) =>
    element("label", {}, label, element("select", { id, onchange: (event) => onchange(event.target.value) },
      ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text))));
  const made = [
    choice("container", texts.container,
      [["", texts.whole_batch], ...batch.containers.map((entry) => [String(entry.id), nameOf(entry)])],
      container ? String(container.id) : "",
      (value) => goTo({ container: value }, { isStep: true })),
    choice("step", texts.step, [["daily", texts.step_daily], ["weekly", texts.step_weekly]], state.step,
      (value) => goTo({ step: value })),
    choice("period", texts.period,
      [["all", texts.period_all], ["180", texts.period_180], ["60", texts.period_60]], state.period,
      (value) => goTo({ period: value === "all" ? null : value })),
  ];
  if (batch.scenarios.length > 1) {
    const name = (plan) => plan.name ?? texts.baseline;
    made.push(choice("plan", texts.plan,
      batch.scenarios.map((plan) => [
        String(plan.id), plan.id === batch.scenario_id ? say("in_force", { name: name(plan) }) : name(plan),
      ]),
      String(state.scenario), (value) => goTo({ plan: value })));
  }
  const toggled = SERIES.filter((name) => name !== "containers" || !container);
  made.push(element("fieldset", { id: "series" }, element("legend", {}, texts.series),
    ...toggled.map((name) => {
      const box = element("input", {
        type: "checkbox", id: `series-${name}`, checked: !state.hidden.includes(name),
        onchange: () => goTo({
          hide: SERIES.filter((other) => document.getElementById(`series-${other}`)?.checked === false).join(",") || "none",
        }),
      });
      return element("label", { class: "check" }, box, swatch(name), texts[`series_${name}`]);
    })));
  return element("div", { class: "controls" }, ...made);
}

function containerTable(batch) {
  const shown = batch.summaries.slice(1).map((summary, place) => ({ ...summary, ...batch.containers[place] }));
  const link = (row) =>
    element("a", { href: addressOf({ batch: batch.batch_id, container: row.id }) }, nameOf(row));
  const columns = [
    { label: texts.column_container, cell: link },
    { label: texts.column_stage, cell: (row) => row.lifecycle_stage_name ?? texts.none },
    { label: texts.column_weight, isNumber: true, cell: (row) => formatWeight(row.avg_weight_g) },
    { label: texts.column_population, isNumber: true, cell: (row) => formatCount(row.population) },
    { label: texts.column_biomass, isNumber: true, cell: (row) => formatBiomass(row.biomass_kg) },
    { label: texts.column_variance, isNumber: true, cell: (row) => varianceCell(row.variance_percent) },
    {
      label: texts.column_harvest,
      cell: (row) => (row.has_fish ? harvestDates(row) : say("ended", { date: formatDay(row.state_date) })),
    },
    { label: texts.column_last_anchor, cell: (row) => formatDay(row.last_anchor_date) },
  ];
  const open = shown.toSorted((one, other) => other.has_fish - one.has_fish || other.state_date - one.state_date);
  return element("section", { id: "containers" }, element("h2", {}, texts.containers_title),
    ...table(columns, open, { caption: texts.containers_title, isStacked: true, rowsAtFirst: ROWS_AT_FIRST }));
}

function anchorTable(tables, batch, container) {
  const anchors = tables.anchors;
  const names = new Map(batch.containers.map((entry) => [entry.id, nameOf(entry)]));
  const rows = Array.from(anchors.anchor_date.keys())
    .filter((row) => !container || anchors.container_id[row] === container.id)
    .reverse();
  const title = element("h2", {}, texts.anchors_title);
  if (!rows.length) return element("section", { id: "anchors" }, title, element("p", { class: "note" }, texts.anchors_none));
  const figure = (label, name, format) =>
    ({ label: texts[label], isNumber: true, cell: (row) => format(anchors[name][row]) });
  const columns = [
    { label: texts.anchor_date, cell: (row) => formatDay(anchors.anchor_date[row]) },
    ...(container ? [] : [{ label: texts.container, cell: (row) => names.get(anchors.container_id[row]) ?? texts.none }]),
    { label: texts.anchor_kind, cell: (row) => sayCode(anchors.anchor_type[row]) },
    {
      label: texts.anchor_status,
      cell: (row) => [sayCode(anchors.anchor_status[row]), anchors.exclusion_reason[row]].filter(Boolean).join(": "),
    },
    figure("anchor_weight", "weight_g", formatWeight),
    figure("anchor_modelled", "modelled_weight_g", formatWeight),
    {
      label: texts.anchor_range,
      cell: (row) => (isMissing(anchors.expected_weight_low_g[row]) ? texts.none : formatRange(
        formatWeight(anchors.expected_weight_low_g[row]), formatWeight(anchors.expected_weight_high_g[row]))),
    },
    figure("anchor_residual", "residual_percent", formatSigned),
    figure("anchor_innovation", "innovation", known((off) => formatNumber(off, 1, { signDisplay: "exceptZero" }))),
    {
      label: texts.anchor_note,
      cell: (row) => element("span", { class: "warning" }, [
        anchors.is_suspect[row] ? texts.note_suspect : null,
        anchors.is_drifting[row] ? texts.note_drifting : null,
      ].filter(Boolean).join("; ")),
    },
    figure("anchor_size", "sample_size", formatCount),
    figure("anchor_days", "days_since_last_anchor", formatCount),
    figure("anchor_tgc", "segment_tgc", known((tgc) => formatNumber(tgc, 2))),
  ];
  const made = table(columns, rows, { caption: texts.anchors_title, rowsAtFirst: ROWS_AT_FIRST });
  const scroll = { class: "scroll high", tabindex: "0", role: "region", "aria-label": texts.anchors_title };
  return element("section", { id: "anchors" }, title,
    element("p", { class: "quiet" }, say("anchors_count", { count: formatCount(rows.length) })),
    element("div", scroll, made[0]), ...made.slice(1));
}

function feedConversion(tables, container) {
  const periods = tables.fcr;
  const rows = Array.from(periods.period_start_date.keys());
  const ofType = (type) => rows.filter((row) => periods.period_type[row] === type);
  const windows = ofType("anchor_window").filter((row) =>
    !Number.isNaN(periods.economic_fcr[row]) && (!container || periods.container_id[row] === container.id));
  const months = container ? [] : ofType("month").filter((row) => !Number.isNaN(periods.economic_fcr[row]));
  const life = container ? [] : ofType("life").filter((row) => !Number.isNaN(periods.economic_fcr[row]));
  const values = [...windows, ...months].map((row) => periods.economic_fcr[row]).toSorted((a, b) => a - b);
  const usual = values[Math.ceil(FCR_SHARE_SHOWN * values.length) - 1];
  const highest = values.at(-1) > 2 * usual ? Math.ceil(usual) : null;
  const above = highest === null ? 0 : values.filter((fcr) => fcr > highest).length;
  return {
    windows, months, highest,
    above: above ? say("fcr_above", { count: formatCount(above), highest: formatNumber(highest) }) : null,
    hasAny: windows.length + months.length > 0,
    life: life.length ? say("fcr_life", {
      economic: formatFcr(periods.economic_fcr[life[0]]), biological: formatFcr(periods.biological_fcr[life[0]]),
    }) : null,
  };
}

// -- the charts -----------------------------------------------------------------------------------

const MEASURES = {
  weight: { name: "avg_weight_g", format: formatWeight, isTall: true },
  population: { name: "population", format: formatFish },
  biomass: { name: "biomass_kg", format: formatBiomass },
};

function draw(state, tables, places, fcr) {
  const series = seriesOf(tables, state);
  handle.series = series;
  const gap = state.step === "weekly" ? 7 : 1;
  const zoom = zoomOf(state, series);
  const all = [series.actual, series.scenario, series.forecast].flatMap((some) => some.days);
  const days = [Math.min(...all), Math.max(...all)];
  for (const [name, measure] of Object.entries(MEASURES)) {
    const values = [series.actual, series.scenario, series.forecast].flatMap((some) => some[measure.name]);
    const isTonnes = name === "biomass" && values.some((kg) => kg >= 10000);
    const unit = { weight: texts.axis_g, population: texts.axis_fish }[name]
      ?? (isTonnes ? texts.axis_t : texts.axis_kg);
    put(name, places[name], {
      series: growthSeries(measure, series, state, gap),
      unit,
      hasSlider: measure.isTall && !document.documentElement.hasAttribute("data-printing"),
      zoom,
      days,
      formatNumber: (value) => formatNumber(isTonnes ? value / 1000 : value),
      tip: (day) => growthTip(day, measure, series, tables, state),
    }, (found) => found === "actual" || found === "forecast");
  }
  if (places.fcr) {
    put("fcr", places.fcr, {
      series: feedSeries(tables.fcr, fcr),
      unit: texts.axis_fcr,
      zoom,
      days,
      highest: fcr.highest,
      formatNumber,
      tip: (day) => feedTip(day, tables.fcr, fcr, state.batch),
    }, () => true);
  }
  shareZoom();
}

function growthSeries(measure, series, state, gap) {
  const isShown = (name) => !state.hidden.includes(name);
  const made = [];
  const add = (name, more) => {
    const points = linePoints(series[name].days, series[name][measure.name], gap);
    if (points.some(([, value]) => value !== null)) made.push(line(name, texts[`series_${name}`], points, more));
  };
  if (isShown("containers")) {
    for (const some of series.containers) {
      const points = linePoints(some.days, some[measure.name], gap);
      made.push(line("containers", nameOf(some), points,
        { id: `container_${some.id}`, width: 1, z: 1, triggerLineEvent: true }));
    }
  }
  for (const name of ["smoothed", "forecast"]) {
    if (measure.isTall && isShown(name) && series[name].days.length) {
      made.push(band(name, texts[`series_${name}`], series[name].days,
        series[name].weight_low_g, series[name].weight_high_g, gap));
    }
  }
  if (isShown("scenario")) add("scenario", { z: 2 });
  if (isShown("forecast")) add("forecast", { z: 3 });
  if (measure.isTall && isShown("smoothed")) add("smoothed", { z: 3 });
  if (isShown("actual")) add("actual", { z: 3, width: 2.5 });
  if (measure.isTall && isShown("sample") && series.sample.days.length) {
    made.push(...samplePoints(texts.series_sample, series.sample.days,
      series.sample.avg_weight_g, series.sample.std_deviation_weight_g));
  }
  return made;
}

function feedSeries(periods, { windows, months }) {
  const bars = (rows) => rows.flatMap((row) => [
    [periods.period_start_date[row] * DAY_MS, periods.economic_fcr[row]],
    [(periods.last_state_date[row] + 1) * DAY_MS, periods.economic_fcr[row]],
    [(periods.last_state_date[row] + 1) * DAY_MS, null],
  ]);
  const made = [line("containers", texts.fcr_window, bars(windows), { id: "windows", width: months.length ? 1 : 3 })];
  if (months.length) made.push(line("actual", texts.fcr_month, bars(months), { id: "months", width: 3 }));
  return made;
}

let zoomed = null; // what the bar below the chart was drawn to, as long as view and period stay
const zoomKey = (state) => `${viewOf(state)} ${state.period}`;

function zoomOf(state, series) {
  const { period, batch } = state;
  if (zoomed?.key === zoomKey(state)) return { start: zoomed.start, end: zoomed.end };
  if (period === "all") return { start: 0, end: 100 };
  const newest = series.actual.days.at(-1) ?? batch.start_date;
  const reach = Number(period) / 2;
  return { startValue: (newest - reach) * DAY_MS, endValue: (newest + reach) * DAY_MS };
}

function put(name, { place, live, title }, content, isRead) {
  let chart = handle.charts[name];
  if (!chart || chart.getDom() !== place) {
    chart?.dispose();
    chart = echarts.init(place, null, { renderer: "svg" });
    handle.charts[name] = chart;
    new ResizeObserver(() => chart.isDisposed() || chart.resize()).observe(place);
    chart.on("click", ({ seriesIndex }) => {
      const id = /^container_(.+)$/.exec(chart.getOption().series[seriesIndex]?.id ?? "")?.[1];
      if (id) goTo({ container: id }, { isStep: true });
    });
    place.addEventListener("keydown", (event) => readByKey(event, name, live));
    place.addEventListener("blur", () => chart.dispatchAction({ type: "hideTip" }));
  }
  chart.anchorlineTip = content.tip;
  chart.anchorlineIsRead = isRead;
  const description = say("chart_keys", { title });
  chart.setOption(chartOption({ ...content, description, formatDay: (day) => shortDay.format(day * DAY_MS) }), true);
}

// Arrow keys walk along the days of a chart, show the tooltip and have it read.
function readByKey(event, name, live) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
  if (!(event.key in steps)) {
    if (event.key === "Escape") handle.charts[name].dispatchAction({ type: "hideTip" });
    return;
  }
  event.preventDefault();
  const chart = handle.charts[name];
  const points = chart.getOption().series.flatMap((some, seriesIndex) =>
    chart.anchorlineIsRead(some.id) && some.type === "line"
      ? some.data.flatMap(([ms, value], dataIndex) => (value === null ? [] : [{ ms, seriesIndex, dataIndex }]))
      : [])
    .toSorted((one, other) => one.ms - other.ms);
  if (!points.length) return;
  const last = handle.state.batch.summaries[0]?.state_date * DAY_MS;
  const start = points.findLastIndex(({ ms }) => !(ms > last));
  const place = chart.anchorlinePlace === undefined ? start : chart.anchorlinePlace + steps[event.key];
  chart.anchorlinePlace = Math.min(Math.max(place, 0), points.length - 1);
  const { ms, seriesIndex, dataIndex } = points[chart.anchorlinePlace];
  chart.dispatchAction({ type: "showTip", seriesIndex, dataIndex });
  live.textContent = chart.anchorlineTip(Math.round(ms / DAY_MS)).textContent;
}

let isZooming = false;
function shareZoom() {
  const charts = Object.values(handle.charts).filter((chart) => !chart.isDisposed());
  for (const chart of charts) {
    chart.off("datazoom");
    chart.on("datazoom", (event) => {
      if (isZooming) return;
      isZooming = true;
      const { start, end } = event.batch?.[0] ?? event;
      zoomed = { key: zoomKey(handle.state), start, end };
      for (const other of charts) {
        if (other !== chart) other.dispatchAction({ type: "dataZoom", start, end });
      }
      isZooming = false;
    });
  }
}

// -- tooltips -------------------------------------------------------------------------------------

function tipTable(rows) {
  return element("table", {}, element("tbody", {}, ...rows.map(([label, value, name]) =>
    element("tr", {},
      element("th", {}, ...(name ? [swatch(name), " "] : []), `${label} `),
      element("td", {}, value)))));
}

const separated = (...parts) => parts.filter(Boolean).join(", ");
const confident = (confidence) =>
  (isMissing(confidence) ? "" : say("tip_confidence", { confidence: formatConfidence(confidence) }));

function growthTip(day, measure, series, tables, state) {
  const rows = [];
  const isShown = (name) => !state.hidden.includes(name);
  for (const name of ["actual", "smoothed", "scenario", "forecast"]) {
    const some = series[name];
    const place = some[measure.name] && isShown(name) ? placeOf(some, day, state.step) : -1;
    if (place < 0 || isMissing(some[measure.name][place])) continue;
    const hasBand = measure.isTall && some.weight_low_g && !isMissing(some.weight_low_g[place]);
    const range = hasBand && `(${say("tip_band", {
      low: formatWeight(some.weight_low_g[place]), high: formatWeight(some.weight_high_g[place]),
    })})`;
    rows.push([texts[`series_${name}`].split(",")[0],
      [measure.format(some[measure.name][place]), range].filter(Boolean).join(" "), name]);
  }
  if (measure.isTall && isShown("sample")) rows.push(...sampleRows(day, series.sample, state));
  rows.push(...dayRows(day, series, tables, state));
  const week = ((date) => { // ISO: of the week's Thursday, counted from the year's first day
    const thursday = new Date((weekOf(date) * 7) * DAY_MS);
    return 1 + Math.floor((thursday - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / DAY_MS / 7);
  })(day);
  const last = series.actual.days[placeOf(series.actual, day, state.step)] ?? day;
  const title = state.step === "weekly" ? say("week_to", { week, date: formatDay(last) }) : formatDay(day);
  return element("div", { class: "tip" }, element("strong", {}, title), " ", tipTable(rows));
}

function sampleRows(day, sample, state) {
  const isSame = (other) => (state.step === "weekly" ? weekOf(other) === weekOf(day) : other === day);
  return sample.days.flatMap((other, place) => {
    if (!isSame(other)) return [];
    const sd = sample.std_deviation_weight_g[place];
    const weight = formatWeight(sample.avg_weight_g[place]);
    return [[sayCode(sample.sample_type[place]), separated(
      isMissing(sd) ? weight : say("tip_sd", { weight, sd: formatWeight(sd) }),
      !isMissing(sample.sample_size[place]) && say("tip_fish", { size: formatCount(sample.sample_size[place]) }),
    ), "sample"]];
  });
}

// Deaths and feed of a week are those of all its days.
function weekSum(days, rows, row, name) {
  const own = rows.filter((other) => weekOf(days.state_date[other]) === weekOf(days.state_date[row]));
  const some = own.map((other) => days[name][other]).filter((value) => !isMissing(value));
  return some.length ? some.reduce((sum, value) => sum + value, 0) : NaN;
}

// What the day's state rests on; of a week, its last day's.
function dayRows(day, series, tables, state) {
  const place = placeOf(series.actual, day, state.step);
  if (place < 0) return [];
  const row = series.actual.rows[place];
  const rows = [];
  const isWeek = state.step === "weekly";
  const total = (days, name) => (isWeek ? weekSum(days, series.actual.allRows, row, name) : days[name][row]);
  const temperature = (degrees) =>
    known((value) => say("unit_temp_c", { number: formatNumber(value, 1) }))(degrees);
  const feed = (kg) => known((value) => say("unit_kg", { number: formatNumber(value, value < 10 ? 1 : 0) }))(kg);
  if (state.container) {
    const days = tables.container_days;
    const kind = days.anchor_type[row] === null ? days.weight_source[row] : days.anchor_type[row];
    rows.push(
      [texts.tip_stage, days.lifecycle_stage_name[row] ?? texts.none],
      [texts.tip_weight, separated(sayCode(kind), confident(days.weight_confidence[row]))],
      [texts.tip_temp, separated(temperature(days.temp_c[row]), sayCode(days.temp_source[row]),
        confident(days.temp_confidence[row]))],
      [texts.tip_deaths, separated(formatFish(total(days, "mortality_count")),
        !isWeek && sayCode(days.mortality_source[row]), !isWeek && confident(days.mortality_confidence[row]))],
      [texts.tip_feed, separated(feed(total(days, "feed_kg")),
        !isWeek && sayCode(days.feed_source[row]), !isWeek && confident(days.feed_confidence[row]))],
    );
    if (days.is_arrival_inferred[row]) rows.push(["", texts.tip_inferred]);
    if (days.is_provisional[row]) rows.push(["", texts.is_provisional]);
    return rows;
  }
  const days = tables.batch_days;
  const confidence = days.lowest_weight_confidence[row];
  rows.push(
    [texts.tip_stage, days.lifecycle_stage_name[row] ?? texts.none],
    [texts.tip_weight, separated(
      say("tip_containers", {
        count: formatCount(days.container_count[row]),
        low: formatWeight(days.smallest_container_weight_g[row]),
        high: formatWeight(days.largest_container_weight_g[row]),
      }),
      !isMissing(confidence) && say("tip_lowest_confidence", { confidence: formatConfidence(confidence) }),
      days.anchor_count[row] > 0 && say("tip_anchored", { count: formatCount(days.anchor_count[row]) }),
    )],
    [texts.tip_temp, temperature(days.temp_c[row])],
    [texts.tip_deaths, formatFish(total(days, "mortality_count"))],
    [texts.tip_feed, feed(total(days, "feed_kg"))],
  );
  const planned = tables.variance.state_date.indexOf(days.state_date[row]);
  if (planned >= 0 && !isMissing(tables.variance.weight_variance_percent[planned])) {
    rows.push([texts.tip_variance, separated(
      formatSigned(tables.variance.weight_variance_percent[planned]),
      !isMissing(tables.variance.days_ahead[planned]) && formatAhead(tables.variance.days_ahead[planned]),
    )]);
  }
  if (days.is_provisional[row]) rows.push(["", texts.is_provisional]);
  return rows;
}

function feedTip(day, periods, { windows, months }, batch) {
  const names = new Map(batch.containers.map((entry) => [entry.id, nameOf(entry)]));
  const holds = (row) => periods.period_start_date[row] <= day && day <= periods.last_state_date[row] + 1;
  const told = (row) => separated(
    say("fcr_economic", { fcr: formatFcr(periods.economic_fcr[row]) }),
    say("fcr_biological", { fcr: formatFcr(periods.biological_fcr[row]) }),
    say("fcr_feed", { feed: formatBiomass(periods.feed_kg[row]), days: formatDays(periods.days_with_feed[row]) }),
  );
  const most = 6; // more would hide the chart
  const rows = [
    ...months.filter(holds).map((row) => [texts.fcr_month, told(row), "actual"]),
    ...windows.filter(holds).slice(0, most)
      .map((row) => [names.get(periods.container_id[row]) ?? texts.none, told(row), "containers"]),
  ];
  return element("div", { class: "tip" }, element("strong", {}, formatDay(day)), " ", tipTable(rows));
}

// -- showing --------------------------------------------------------------------------------------

function viewOf({ batch, container }) {
  return batch ? `${batch.batch_id} ${container?.id ?? ""}` : "start";
}

async function show({ isUpdate = false } = {}) {
  document.body.dataset.ready = "no";
  const state = readState();
  handle.state = state;
  if (isUpdate && isAbout === viewOf(state)) {
    update(state);
  } else {
    isAbout = viewOf(state);
    update = () => {};
    Object.values(handle.charts).forEach((chart) => chart.dispose());
    handle.charts = {};
    if (state.batch) await showBatch(state);
    else showStart(state);
    if (handle.state !== state) return;
    window.scrollTo(0, 0);
  }
  document.body.dataset.ready = "yes";
}

function redraw() {
  isAbout = null;
  show();
}

function start() {
  const skip = document.getElementById("skip");
  skip.textContent = texts.skip;
  skip.addEventListener("click", (event) => { // the address says what is shown, not where to look
    event.preventDefault();
    main().focus();
  });
  document.getElementById("licences").textContent = texts.licences;
  const last = Math.max(...index.batches.flatMap(({ summaries }) => summaries.map(({ state_date }) => state_date)));
  const date = formatDay(index.written_on);
  document.getElementById("written").textContent = Number.isFinite(last)
    ? say("written", { date, last: formatDay(last) })
    : say("written_without_data", { date });
  if (!("DecompressionStream" in window) || !Array.prototype.toSorted) {
    main().replaceChildren(element("p", { class: "note" }, texts.old_browser));
    return;
  }
  window.addEventListener("hashchange", async () => {
    await show();
    main().focus({ preventScroll: true });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const print = (isPrinting) => { // on paper the colours are those of a light screen
    document.documentElement.toggleAttribute("data-printing", isPrinting);
    if (!handle.state?.batch) return;
    update(handle.state);
    const width = isPrinting ? PRINT_WIDTH : "auto";
    Object.values(handle.charts).forEach((chart) => chart.resize({ width }));
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  show();
}

start();
