/** Reads the reports that quantize_cli/report/page_data.py has packed. */
async function readReports() {
  const { columns, reports, curve } = await readData();
  for (const report of reports) report.cells = report.cells.map((index) => columns[index]);
  return { reports, curve, colours: typeColours(reports) };
}

/** Gives each block type a number for its colour, the same in all reports: the more bits, the smaller the number. */
function typeColours(reports) {
  const bits = new Map();
  for (const { types, measures } of reports) {
    types.forEach((type, index) => bits.set(type, measures["Bits per weight"][index]));
  }
  const ordered = [...bits.keys()].sort((one, other) => bits.get(other) - bits.get(one) || (one < other ? -1 : 1));
  return new Map(ordered.map((type, index) => [type, index % 8]));
}
