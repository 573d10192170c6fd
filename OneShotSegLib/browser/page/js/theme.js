// Light or dark: as the system has it, until one is chosen.
import { byId } from "./dom.js";

const KEY = "oneshotseg theme";
const system = matchMedia("(prefers-color-scheme: dark)");

const stored = () => {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
};

function apply() {
  document.documentElement.dataset.theme = stored() ?? (system.matches ? "dark" : "light");
}

export function beginTheme() {
  apply();
  system.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, other);
    } catch {
      // It is for this page alone, then.
    }
    document.documentElement.dataset.theme = other;
  });
}
