"use strict";
// Turns series into what ECharts draws. Knows neither the page nor where the series come from.

const DAY_MS = 86400000;
const DASHES = { actual: [], smoothed: [2, 3], scenario: [7, 4], forecast: [10, 3, 2, 3], containers: [] };

const colourOf = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// [ms, value] per day; where days are missing between two, nothing is drawn between them.
function linePoints(days, values, step) {
  const points = [];
  days.forEach((day, place) => {
    if (place && day - days[place - 1] > step) points.push([(days[place - 1] + 1) * DAY_MS, null]);
    points.push([day * DAY_MS, Number.isNaN(values[place]) ? null : values[place]]);
  });
  return points;
}

function line(name, label, points, more = {}) {
  const { dash = DASHES[name], width = 2, ...rest } = more;
  return {
    id: name,
    name: label,
    type: "line",
    data: points,
    showSymbol: points.length === 1,
    symbolSize: 8,
    connectNulls: false,
    emphasis: { disabled: true },
    lineStyle: { width, color: colourOf(name), type: dash.length ? dash : "solid" },
    itemStyle: { color: colourOf(name) },
    ...rest,
  };
}

// The area between two lines: one shape per stretch of days without a gap.
function band(name, label, days, low, high, step) {
  const stretches = [[]];
  days.forEach((day, place) => {
    if (place && day - days[place - 1] > step) stretches.push([]);
    if (!Number.isNaN(low[place])) stretches.at(-1).push(place);
  });
  const colour = colourOf(name);
  return {
    id: `${name}_band`,
    name: label,
    type: "custom",
    data: Array.from(days, (day, place) => [
      day * DAY_MS,
      Number.isNaN(low[place]) ? null : low[place],
      Number.isNaN(high[place]) ? null : high[place],
    ]),
    encode: { x: 0, y: [1, 2] },
    progressive: 0,
    silent: true,
    clip: true,
    z: 1,
    renderItem(params, api) {
      if (params.dataIndexInside !== 0) return undefined;
      const shapes = stretches.filter((places) => places.length > 1).map((places) => {
        const corner = (values) => (place) => api.coord([days[place] * DAY_MS, values[place]]);
        const points = [...places.map(corner(low)), ...places.toReversed().map(corner(high))];
        return { type: "polygon", shape: { points }, style: { fill: colour, opacity: 0.16 } };
      });
      return { type: "group", children: shapes };
    },
  };
}

// Samples: a diamond at the mean, a bar of one standard deviation to either side.
function samplePoints(label, days, weights, deviations) {
  const colour = colourOf("sample");
  return [
    {
      id: "sample_spread",
      name: label,
      type: "custom",
      data: Array.from(days, (day, place) => [
        day * DAY_MS,
        Number.isNaN(deviations[place]) ? null : weights[place] - deviations[place],
        Number.isNaN(deviations[place]) ? null : weights[place] + deviations[place],
      ]),
      encode: { x: 0, y: [1, 2] },
      progressive: 0,
      silent: true,
      clip: true,
      z: 3,
      renderItem(params, api) {
        const low = api.value(1);
        if (low === null || Number.isNaN(low)) return undefined;
        const [x, lowest] = api.coord([api.value(0), low]);
        const [, highest] = api.coord([api.value(0), api.value(2)]);
        const style = { stroke: colour, lineWidth: 1, opacity: 0.55 };
        const bar = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
        return {
          type: "group",
          children: [
            bar(x, lowest, x, highest),
            bar(x - 3, lowest, x + 3, lowest),
            bar(x - 3, highest, x + 3, highest),
          ],
        };
      },
    },
    {
      id: "sample",
      name: label,
      type: "scatter",
      symbol: "diamond",
      symbolSize: 9,
      z: 4,
      data: Array.from(days, (day, place) => [day * DAY_MS, weights[place]]),
      itemStyle: { color: colour },
      emphasis: { disabled: true },
    },
  ];
}

function chartOption({ series, unit, description, formatDay, formatNumber, tip, zoom, days, highest, hasSlider }) {
  const ink = colourOf("ink");
  const quiet = colourOf("quiet");
  const label = { color: quiet, hideOverlap: true };
  return {
    animation: false,
    useUTC: true,
    backgroundColor: "transparent",
    textStyle: { fontFamily: "system-ui, sans-serif", color: ink },
    aria: { enabled: true, label: { description }, decal: { show: true } },
    // the same margins and days in all charts, so that they stand below one another
    grid: { left: 72, right: 20, top: 28, bottom: hasSlider ? 64 : 26 },
    xAxis: {
      type: "time",
      min: days[0] * DAY_MS,
      max: days[1] * DAY_MS,
      axisLabel: { ...label, formatter: (ms) => formatDay(ms / DAY_MS) },
      axisLine: { lineStyle: { color: quiet } },
    },
    yAxis: {
      type: "value",
      max: highest,
      name: unit,
      nameTextStyle: { color: quiet, align: "right" },
      axisLabel: { ...label, formatter: (value) => formatNumber(value) },
      splitLine: { lineStyle: { color: colourOf("line") } },
    },
    dataZoom: [
      { id: "zoom", type: "inside", filterMode: "none", disabled: true, ...zoom },
      ...(hasSlider
        ? [{
          id: "slider", type: "slider", filterMode: "none", height: 20, bottom: 8, showDetail: false,
          showDataShadow: false, ...zoom,
        }]
        : []),
    ],
    tooltip: {
      trigger: "axis",
      confine: true,
      backgroundColor: colourOf("paper"),
      borderColor: quiet,
      axisPointer: { type: "line", snap: true, lineStyle: { color: quiet } },
      formatter: (found) => (found.length ? tip(Math.round(found[0].axisValue / DAY_MS)) : ""),
    },
    series,
  };
}
