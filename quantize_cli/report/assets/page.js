/** Shows one report at a time, and draws its charts when it is first shown. */
async function showPage() {
  const { reports, curve, colours: numbers } = await readReports();
  const sections = [...document.querySelectorAll(".report")];
  const tabs = [...document.querySelectorAll(".tabs a")];
  const ready = new Set();

  function show(index) {
    sections.forEach((section, other) => { section.classList.toggle("shown", other === index); });
    tabs.forEach((tab, other) => {
      if (other === index) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    });
    if (ready.has(index)) return;
    ready.add(index);
    const part = (selector) => sections[index].querySelector(selector);
    drawBytes(part("[data-chart=bytes]"), reports[index], numbers);
    drawHeat(part("[data-chart=heat]"), reports[index]);
    drawDistribution(part("[data-chart=distribution]"), reports[index], numbers);
    showTensors(part(".tensors"), reports[index]);
  }

  tabs.forEach((tab, index) => tab.addEventListener("click", (event) => {
    event.preventDefault();
    show(index);
  }));
  const top = document.querySelector("[data-chart=curve]");
  if (top) drawCurve(top, curve);
  show(Math.max(0, sections.findIndex((section) => `#${section.id}` === location.hash)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
}

begin(showPage);
