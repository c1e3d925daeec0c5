"use strict";

/** Reads the data of the page, which quantize_cli/report/markup.py has packed: base64 of gzip of JSON. */
async function readData() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(unpacked).text());
}

/** Lets a script show its page; the tables stay where that fails, or where no script runs. */
function begin(showPage) {
  const root = document.documentElement;
  if (!root.classList.contains("scripted")) return;
  showPage().catch((error) => {
    root.classList.remove("scripted");
    throw error;
  });
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
