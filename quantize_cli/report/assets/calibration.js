/** Draws how extreme channels of the hidden state grow from layer to layer, in multiples of the layer's median. */
function drawOutliers(div, { limit, channels }) {
  if (!div || !channels.length) return;
  const layers = channels[0].ratios.map((_, layer) => layer);
  const lines = (points) => points.map((point) => `${point.seriesName}: ${+point.value.toPrecision(4)} times the median`);
  draw(div, (colour) => ({
    tooltip: { trigger: "axis", formatter: (points) => tip(`layer ${points[0].axisValue}`, lines(points)) },
    legend: { type: "scroll", top: 4, left: 8, right: 8, textStyle: { color: colour.ink } },
    grid: { left: 56, right: 24, top: 44, bottom: 44 },
    xAxis: axis(colour, { type: "category", data: layers, name: "layer", nameGap: 28, splitLine: { show: false } }),
    yAxis: axis(colour, {
      type: "log",
      name: "multiple of the median",
      nameGap: 42,
      axisLabel: { color: colour.faint, formatter: (number) => `${+number.toPrecision(3)}` },
    }),
    series: channels.map(({ channel, ratios }, index) => ({
      type: "line",
      name: `channel ${channel}`,
      symbolSize: 5,
      lineStyle: { color: colour.type[index % 8], width: 2 },
      itemStyle: { color: colour.type[index % 8] },
      data: ratios.map((ratio) => ratio || null), // the axis does not have a 0
      markLine: index ? undefined : {
        silent: true,
        symbol: "none",
        lineStyle: { color: colour.faint, type: "dashed" },
        label: { color: colour.faint, position: "insideEndTop", formatter: "outlier" },
        data: [{ yAxis: limit }],
      },
    })),
  }));
}

begin(async () => {
  const { sensitivity, outliers } = await readData();
  const map = document.querySelector("[data-chart=sensitivity]");
  if (map) drawHeat(map, sensitivity);
  drawOutliers(document.querySelector("[data-chart=outliers]"), outliers);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
});
