// Elements made from what they are: texts go in as texts, so that no name can become markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "className" || name === "value" || name === "checked" || name === "disabled" || name === "hidden") {
      element[name] = value;
    } else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const button = (text, onclick, properties = {}) => make("button", { type: "button", onclick, ...properties }, text);

export function swatch(color) {
  const element = make("span", { className: "swatch", "aria-hidden": "true" });
  element.style.backgroundColor = cssColor(color);
  return element;
}

export function cssColor(color, opacity = 1) {
  const [red, green, blue] = color.map((part) => Math.round(part * 255));
  return `rgb(${red} ${green} ${blue} / ${opacity})`;
}

// What had the focus keeps it when a part of the page is made anew.
export function replaceKeepingFocus(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = parent.querySelector(".scroll")?.scrollTop ?? 0;
  parent.replaceChildren(...children.filter(Boolean));
  const again = parent.querySelector(".scroll");
  if (again) again.scrollTop = scrolled;
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
