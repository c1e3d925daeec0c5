/** Draws size against divergence on a logarithmic axis; a line joins the files that no other one beats in both. */
function drawDivergence(div, curves) {
  const all = curves.flatMap((curve) => curve.points);
  if (!all.length) return;
  const figure = choice(div, "Figure", curves.filter((curve) => curve.points.length).map((curve) => curve.title));
  // The axis counts whole units, so that its marks are round.
  const [, unit] = size(Math.max(...all.map((point) => point.bytes))).split(" ");
  const one = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }[unit];
  const value = (point) => ({ value: [point.bytes / one, point.value], point });
  const lines = (point) => [
    `${size(point.bytes)}, ${point.bits_per_weight.toFixed(2)} bits/weight`,
    `${figure.value}: ${point.shown} nats a token`,
    ...(point.best ? [] : ["another file is as small and nearer to the original"]),
  ];
  const show = draw(div, (colour) => {
    const { points } = curves.find((curve) => curve.title === figure.value);
    return {
      tooltip: { formatter: ({ data }) => (data && data.point ? tip(data.point.label, lines(data.point)) : "") },
      grid: { left: 64, right: 72, top: 28, bottom: 44 },
      xAxis: axis(colour, {
        type: "value",
        scale: true,
        name: "size of the file",
        nameGap: 28,
        axisLabel: { color: colour.faint, hideOverlap: true, formatter: (count) => `${+count.toPrecision(4)} ${unit}` },
        splitLine: { show: false },
      }),
      yAxis: axis(colour, {
        type: "log",
        name: `${figure.value}, nats a token`,
        nameGap: 50,
        axisLabel: { color: colour.faint, formatter: (number) => `${+number.toPrecision(3)}` },
      }),
      series: [
        {
          type: "line",
          silent: true,
          symbol: "none",
          lineStyle: { color: colour.accent, width: 2 },
          data: points.filter((point) => point.best).map(value),
        },
        {
          type: "scatter",
          symbolSize: 10,
          itemStyle: { color: ({ data }) => (data.point.best ? colour.accent : colour.faint) },
          label: { show: true, position: "right", color: colour.ink, fontSize: 11, formatter: ({ data }) => data.point.label },
          labelLayout: { dy: -9, hideOverlap: true }, // above the line, which falls
          data: points.map(value),
        },
      ],
    };
  });
  figure.addEventListener("change", show);
}

begin(async () => {
  drawDivergence(document.querySelector("[data-chart=curve]"), await readData());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
});
