"use strict";
// Sorting, filtering and enlarging. The page is complete and in its order without this script.
(() => {
  const byId = (id) => document.getElementById(id);
  const holder = byId("cases");
  const cards = [...holder.children];

  const compare = {
    doubt: (a, b) => Number(a.dataset.doubt) - Number(b.dataset.doubt),
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
    review: (a, b) => a.dataset.review.localeCompare(b.dataset.review) || compare.doubt(a, b),
  };

  function arrange() {
    const words = byId("find").value.trim().toLowerCase();
    const state = byId("state").value;
    let count = 0;
    for (const card of cards.sort(compare[byId("sort").value])) {
      const fits = card.dataset.name.toLowerCase().includes(words) && (!state || card.dataset.review === state);
      card.hidden = !fits;
      count += fits ? 1 : 0;
      holder.append(card);
    }
    byId("shown").textContent = `${count} of ${cards.length} cases${document.querySelector(".pages") ? " of this page" : ""}`;
    byId("none").hidden = count > 0;
  }

  for (const id of ["sort", "state", "find"]) byId(id).addEventListener("input", arrange);
  document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
  for (const layer of ["outlines", "dots"]) {
    byId(layer).addEventListener("input", () => {
      document.documentElement.classList.toggle(`no-${layer}`, !byId(layer).checked);
    });
  }

  const dialog = byId("large");
  let current = null;

  function show(view) {
    current = view;
    const frame = view.querySelector(".frame").cloneNode(true);
    const ratio = Number(frame.dataset.ratio);
    frame.style.width = `min(94vw, calc(84vh * ${ratio}))`;
    frame.querySelector("img").loading = "eager";
    byId("large-picture").replaceChildren(frame);
    byId("large-title").textContent = view.dataset.title;
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    // Within the card, so that the arrows never leave the case.
    const views = [...current.closest(".panel").querySelectorAll(".view")];
    show(views[(views.indexOf(current) + by + views.length) % views.length]);
  }

  document.addEventListener("click", (event) => {
    const view = event.target.closest(".view");
    if (view) show(view);
    else if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });
  dialog.addEventListener("close", () => current && current.focus());
  byId("before").addEventListener("click", () => step(-1));
  byId("after").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  arrange();
})();
