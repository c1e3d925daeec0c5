"use strict";

/** Reads the data that quantize_cli/report/page_data.py has packed: base64 of gzip of JSON. */
async function readData() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { columns, reports, curve } = JSON.parse(await new Response(unpacked).text());
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

/** Makes an element that holds texts and elements. Text never becomes markup. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Formats bytes as quantize_cli/report/figures.py does. */
function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return unit ? `${bytes.toFixed(2)} ${units[unit]}` : `${bytes} B`;
}
