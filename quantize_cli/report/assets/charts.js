/** A treemap with more tensors shows types in place of layers. */
const MOST_LEAVES = 3000;
/** Charts show this many kinds, those with the most bytes. */
const MOST_KINDS = 200;
/** Columns of the table that a tensor's tip shows, where the data does not name them. */
const TOLD = ["Type", "Reason", "Shape", "Bytes", "Bits per weight", "Relative RMSE", "SQNR (dB)", "Weighted relative RMSE"];

/** Reads the colours of the style sheet, which follow the reader's choice of light or dark. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    type: Array.from({ length: 8 }, (_, index) => colour(`type-${index}`)),
    ...Object.fromEntries(["card", "ink", "faint", "line", "accent", "heat-low", "heat-high"].map((n) => [n, colour(n)])),
  };
}

const drawn = [];

/** Draws a chart in `div`; `option` makes ECharts' option from the colours, now and whenever these change. */
function draw(div, option) {
  div.replaceChildren();
  const chart = echarts.init(div);
  const show = () => chart.setOption(common(option, colours()), { notMerge: true });
  show();
  drawn.push(show);
  new ResizeObserver(() => chart.resize()).observe(div);
  return show;
}

function redrawAll() {
  for (const show of drawn) show();
}

function common(option, colour) {
  const made = option(colour);
  return {
    animation: false,
    aria: { enabled: true },
    textStyle: { color: colour.ink, fontFamily: "system-ui, sans-serif" },
    ...made,
    tooltip: {
      confine: true,
      backgroundColor: colour.card,
      borderColor: colour.line,
      textStyle: { color: colour.ink },
      ...made.tooltip,
    },
  };
}

function axis(colour, more) {
  return {
    axisLabel: { color: colour.faint, hideOverlap: true },
    axisLine: { lineStyle: { color: colour.line } },
    nameTextStyle: { color: colour.faint },
    splitLine: { lineStyle: { color: colour.line } },
    nameLocation: "middle",
    ...more,
  };
}

/** Makes what a tooltip shows: a title, and lines of text. */
function tip(title, lines) {
  const parts = lines.map((line) => element("div", { textContent: line }));
  return element("div", { className: "tip" }, element("b", { textContent: title }), ...parts);
}

function tensorTip(report, tensor) {
  const lines = (report.told ?? TOLD).flatMap((title) => {
    const column = report.header.indexOf(title);
    return column < 0 ? [] : [`${title}: ${report.cells[column][tensor]}`];
  });
  return tip(report.cells[0][tensor], lines);
}

/** Puts the types of a report, each with its colour, in front of a chart. */
function legend(div, types, numbers) {
  const items = types.map((type) => {
    const swatch = element("i");
    swatch.style.background = `var(--type-${numbers.get(type)})`;
    return element("span", {}, swatch, type);
  });
  div.before(element("div", { className: "legend" }, ...items));
}

/** Finds the kinds with the most bytes: their numbers, in the order of their names. */
function largestKinds({ places, bytes }) {
  const sums = places.kinds.map(() => 0);
  bytes.forEach((count, tensor) => { sums[places.kind[tensor]] += count; });
  const ordered = sums.map((_, kind) => kind).sort((one, other) => sums[other] - sums[one]);
  return ordered.slice(0, MOST_KINDS).sort((one, other) => one - other);
}

function drawBytes(div, report, numbers) {
  legend(div, [...numbers.keys()].filter((type) => report.types.includes(type)), numbers);
  const { kinds, layers, kind, layer } = report.places;
  const leaves = kinds.map(() => []);
  if (report.types.length <= MOST_LEAVES) {
    report.types.forEach((type, tensor) => {
      const name = layers[layer[tensor]];
      leaves[kind[tensor]].push({ name, value: report.bytes[tensor], tensor, type });
    });
  } else {
    const sums = kinds.map(() => new Map());
    report.types.forEach((type, tensor) => {
      const sum = sums[kind[tensor]];
      sum.set(type, (sum.get(type) ?? 0) + report.bytes[tensor]);
    });
    sums.forEach((sum, index) => sum.forEach((value, type) => leaves[index].push({ name: type, value, type })));
  }
  const sum = (those) => those.reduce((total, leaf) => total + leaf.value, 0);
  const total = sum(leaves.flat());
  if (kinds.length > MOST_KINDS) {
    const told = `Charts show the ${MOST_KINDS} kinds with the most bytes of ${kinds.length.toLocaleString("en")}.`;
    div.before(element("p", { className: "faint", textContent: told }));
  }
  /** Tells whether names fit into leaves of the usual size; a part of a number would be another layer's. */
  const named = (those) =>
    those.length > 1 && (sum(those) / total / those.length) * div.clientWidth * div.clientHeight > 700;
  const largest = (those) => those.reduce((one, other) => (other.value > one.value ? other : one));
  const filled = (leaf, colour) => ({ color: colour.type[numbers.get(leaf.type)] });
  const told = (bytes) => `${size(bytes)}, ${((100 * bytes) / total).toFixed(2)} % of the tensors' bytes`;
  draw(div, (colour) => ({
    tooltip: {
      formatter: ({ data }) => {
        if (data.tensor !== undefined) return tensorTip(report, data.tensor);
        return data.name ? tip(data.name, [told(data.value)]) : "";
      },
    },
    series: [{
      type: "treemap",
      roam: false,
      nodeClick: false,
      breadcrumb: { show: false },
      left: 4, right: 4, top: 4, bottom: 4,
      label: { fontSize: 10, color: "#fff", overflow: "none", padding: 0 },
      upperLabel: { show: true, height: 18, color: colour.ink, fontSize: 11, overflow: "truncate" },
      itemStyle: { borderColor: colour.card },
      visibleMin: 0,
      childrenVisibleMin: 0,
      levels: [
        { upperLabel: { show: false }, itemStyle: { gapWidth: 3, borderWidth: 0, borderColor: colour.card } },
        { itemStyle: { gapWidth: 1, borderWidth: 1, borderColor: colour.line } },
      ],
      data: largestKinds(report).map((index) => ({
        name: kinds[index],
        value: sum(leaves[index]),
        itemStyle: filled(largest(leaves[index]), colour),
        children: leaves[index].map((leaf) => ({
          ...leaf,
          label: { show: named(leaves[index]) },
          itemStyle: filled(leaf, colour),
        })),
      })),
    }],
  }));
}

/** Puts a list to choose from in front of a chart. */
function choice(div, label, titles) {
  const select = element("select", {}, ...titles.map((title) => element("option", { textContent: title })));
  select.setAttribute("aria-label", label);
  div.before(element("div", { className: "controls" }, select));
  return select;
}

function drawHeat(div, report) {
  const measures = Object.keys(report.measures);
  const measure = choice(div, "Figure that colours the map", measures);
  const { kinds, layers, kind, layer } = report.places;
  const largest = new Set(largestKinds(report));

  /** Finds the kinds that have a figure other than 0, and their cells: layer, kind, figure, tensor. */
  function cellsOf(title) {
    const values = report.measures[title];
    const shown = [...new Set(kind.filter((index, tensor) => values[tensor] && largest.has(index)))].sort((one, other) => one - other);
    const row = new Map(shown.map((index, position) => [index, position]));
    const cells = values.flatMap((value, tensor) =>
      value !== null && row.has(kind[tensor]) ? [[layer[tensor], row.get(kind[tensor]), value, tensor]] : []);
    return { names: shown.map((index) => kinds[index]), cells };
  }

  const fit = () => { div.style.height = `${Math.min(130 + 22 * Math.max(cellsOf(measure.value).names.length, 3), 3000)}px`; };
  fit();
  const show = draw(div, (colour) => {
    const { names, cells } = cellsOf(measure.value);
    const figures = cells.map((cell) => cell[2]);
    const extent = (compare, empty) => figures.reduce((one, other) => compare(one, other), figures[0] ?? empty);
    const better = measure.value.startsWith("SQNR"); // the larger, the better
    const shades = [colour["heat-low"], colour["heat-high"]];
    return {
      tooltip: { formatter: ({ data }) => tensorTip(report, data[3]) },
      grid: { left: 12, right: 16, top: 12, bottom: 96 },
      xAxis: axis(colour, { type: "category", data: layers, name: "layer", nameGap: 28, splitLine: { show: false } }),
      yAxis: axis(colour, {
        type: "category",
        data: names,
        inverse: true,
        axisLabel: { color: colour.faint, overflow: "truncate", width: div.clientWidth < 600 ? 96 : 240 },
      }),
      visualMap: {
        type: "continuous",
        dimension: 2,
        min: extent(Math.min, 0),
        max: extent(Math.max, 1),
        calculable: true,
        orient: "horizontal",
        left: "center",
        bottom: 6,
        itemWidth: 12,
        precision: 2,
        textStyle: { color: colour.faint },
        inRange: { color: better ? shades.reverse() : shades },
      },
      series: [{
        type: "heatmap",
        data: cells,
        progressive: 0,
        itemStyle: { borderColor: colour.card, borderWidth: layers.length > 150 ? 0 : 1 },
        emphasis: { itemStyle: { borderColor: colour.ink } },
      }],
    };
  });
  measure.addEventListener("change", () => { fit(); show(); });
}

function drawDistribution(div, report, numbers) {
  const { edges, types, counts, exact } = report.distribution;
  if (exact) {
    const those = exact === 1 ? "One tensor is exact, and is" : `${exact.toLocaleString("en")} tensors are exact, and are`;
    div.before(element("p", { className: "faint", textContent: `${those} not in the chart.` }));
  }
  if (!types.length) return;
  legend(div, types, numbers);
  draw(div, (colour) => ({
    tooltip: {
      trigger: "axis",
      axisPointer: { type: "shadow" },
      formatter: (bars) => {
        const bin = bars[0].dataIndex;
        const lines = bars.filter((bar) => bar.value).map((bar) => `${bar.seriesName}: ${bar.value.toLocaleString("en")}`);
        return tip(`${edges[bin]} to ${edges[bin + 1]} dB`, lines);
      },
    },
    grid: { left: 40, right: 16, top: 16, bottom: 36 },
    xAxis: axis(colour, { type: "category", data: edges.slice(0, -1), name: "SQNR (dB); more is better", nameGap: 26 }),
    yAxis: axis(colour, { type: "value", name: "tensors", nameGap: 32, minInterval: 1 }),
    series: types.map((type, index) => ({
      type: "bar",
      name: type,
      stack: "tensors",
      barCategoryGap: "10%",
      itemStyle: { color: colour.type[numbers.get(type)] },
      data: counts[index],
    })),
  }));
}

/** Draws size against error of all formats; a line joins those that no other format beats in both. */
function drawCurve(div, points) {
  if (!points.length) return;
  const percent = (value) => 100 * value;
  // The axis counts whole units, so that its marks are round.
  const [, unit] = size(Math.max(...points.map((point) => point.file_bytes))).split(" ");
  const one = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }[unit];
  const value = (point, y) => ({ value: [point.file_bytes / one, percent(y)], point });
  const lines = (point) => [
    `${size(point.file_bytes)}, ${point.bits_per_weight.toFixed(2)} bits/weight`,
    `relative RMSE ${percent(point.relative_rmse).toFixed(3)} %`,
    ...(point.weighted_relative_rmse === null
      ? [] : [`weighted relative RMSE ${percent(point.weighted_relative_rmse).toFixed(3)} %`]),
    ...(point.best ? [] : ["another format is smaller and more exact"]),
  ];
  const bytesPerBit = points[0].file_bytes / points[0].bits_per_weight;
  const cliff = [3, 4].map((bits) => (bits * bytesPerBit) / one);
  const weighted = points.filter((point) => point.weighted_relative_rmse);
  const scale = choice(div, "Scale of the errors", ["linear", "logarithmic"]);
  const show = draw(div, (colour) => ({
    tooltip: { formatter: ({ data }) => (data && data.point ? tip(data.point.format, lines(data.point)) : "") },
    legend: weighted.length ? { top: 4, textStyle: { color: colour.ink } } : undefined,
    grid: { left: 56, right: 64, top: weighted.length ? 40 : 28, bottom: 44 },
    xAxis: axis(colour, {
      type: "value",
      scale: true,
      name: "size of the file",
      nameGap: 28,
      axisLabel: { color: colour.faint, hideOverlap: true, formatter: (count) => `${+count.toPrecision(4)} ${unit}` },
      splitLine: { show: false },
    }),
    yAxis: axis(colour, {
      type: scale.value === "linear" ? "value" : "log",
      name: "relative RMSE",
      nameGap: 44,
      axisLabel: { color: colour.faint, formatter: (number) => `${+number.toPrecision(3)} %` },
    }),
    series: [
      {
        type: "line",
        name: "relative RMSE",
        silent: true,
        symbol: "none",
        lineStyle: { color: colour.accent, width: 2 },
        itemStyle: { color: colour.accent },
        data: points.filter((point) => point.best).map((point) => value(point, point.relative_rmse)),
        markArea: {
          silent: true,
          itemStyle: { color: colour["heat-high"], opacity: 0.12 },
          label: { color: colour.faint, position: "insideTop", formatter: "3 to 4 bits" },
          data: [[{ xAxis: cliff[0] }, { xAxis: cliff[1] }]],
        },
      },
      {
        type: "scatter",
        name: "relative RMSE",
        symbolSize: 10,
        itemStyle: { color: ({ data }) => (data.point.best ? colour.accent : colour.faint) },
        label: {
          show: true,
          position: "right",
          color: colour.ink,
          fontSize: 11,
          formatter: ({ data }) => data.point.format,
        },
        labelLayout: { dy: -9, moveOverlap: "shiftY" }, // above the line, which falls
        data: points.map((point) => value(point, point.relative_rmse)),
      },
      ...(weighted.length ? [{
        type: "line",
        name: "weighted by importance",
        symbolSize: 7,
        lineStyle: { color: colour.type[2], type: "dashed" },
        itemStyle: { color: colour.type[2] },
        data: weighted.map((point) => value(point, point.weighted_relative_rmse)),
      }] : []),
    ],
  }));
  scale.addEventListener("change", show);
}
