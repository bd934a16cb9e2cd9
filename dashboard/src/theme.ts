// Light, dark, or as the system is.
export type Theme = "light" | "dark" | "system";
const STORED = "chorus.theme";

export function theme(): Theme {
  try {
    const kept = localStorage.getItem(STORED);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

export function applyTheme(wanted: Theme = theme()) {
  try {
    localStorage.setItem(STORED, wanted);
  } catch {
    // Nothing is kept; the page has it all the same.
  }
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
}
