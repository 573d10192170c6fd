// Deliver: exports next to the study, and the report.
import { button, make, replaceKeepingFocus } from "./dom.js";
import { guarded } from "./messages.js";
import { post } from "./server.js";

const FORMATS = {
  nifti: "NIfTI label maps", nnunet: "nnU-Net dataset", "dicom-seg": "DICOM SEG", rtstruct: "DICOM RTSTRUCT", zip: "Review without CTs (zip)",
};

export class Deliver {
  constructor(page) {
    this.page = page;
    this.format = "nifti";
    this.acceptedOnly = true;
    this.written = [];
  }

  open() {
    this.page.refresh();
  }

  exported({ path, name }) {
    this.written.unshift({ path, name });
    this.page.refresh();
  }

  render(side) {
    const locked = this.page.state.read_only || Boolean(this.page.state.reader);
    const busy = this.page.busy || locked || !this.page.state.rows.length;
    const choice = make("select", { id: "format", "data-key": "format", onchange: (event) => { this.format = event.target.value; } });
    for (const [value, text] of Object.entries(FORMATS)) choice.append(make("option", { value, selected: value === this.format }, text));
    const only = make("input", { type: "checkbox", id: "only", "data-key": "only", checked: this.acceptedOnly, onchange: (event) => { this.acceptedOnly = event.target.checked; } });
    replaceKeepingFocus(
      side, make("h2", {}, "Deliver"),
      locked ? make("p", {}, "Exports are made by the study's own reviewer.") : null,
      make("div", { className: "row" }, make("label", { for: "format" }, "Format"), choice),
      make("div", { className: "row" }, only, make("label", { for: "only" }, "Only what was accepted or corrected")),
      make("div", { className: "buttons" }, button("Export", guarded(() => post("/api/export", { format: this.format, accepted_only: this.acceptedOnly })), { className: "main", disabled: busy, "data-key": "export" })),
      ...this.written.map(({ path, name }) => make("p", { className: "details exported" }, `Exported: ${path} `, name ? make("a", { href: `/api/exports/${encodeURIComponent(name)}` }, "Download") : null)),
      make("h3", {}, "Report"),
      make("div", { className: "buttons" },
        button("Write the report anew", guarded(() => post("/api/report")), { disabled: busy, "data-key": "report" }),
        make("a", { href: "/report.html", target: "_blank", rel: "noopener" }, "Open the report")),
    );
  }
}
