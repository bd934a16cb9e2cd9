// All text of the dashboard, by key, in the language of whoever reads it.
import { en } from "./en";

export type Key = keyof typeof en;
export type Catalogue = Record<Key, string>;
export const LOCALES = { en: "English", de: "Deutsch", ar: "العربية" } as const;
export type Locale = keyof typeof LOCALES;

const STORED = "chorus.locale";
let words: Catalogue = en;
let current: Locale = "en";
const listeners = new Set<() => void>();

export function locale(): Locale {
  return current;
}

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The sentence of a key, its `{name}`s filled in. */
export function t(key: Key, values?: Record<string, string | number>): string {
  const sentence = words[key];
  return values ? sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? "")) : sentence;
}

/** The sentence of a key that is made at run time, or `otherwise` where there is none. */
export function maybe(key: string, otherwise: string): string {
  return (words as Record<string, string>)[key] ?? otherwise;
}

export async function speak(wanted: Locale): Promise<void> {
  if (wanted === "de") words = (await import("./de")).de;
  else if (wanted === "ar") words = (await import("./ar")).ar;
  else words = en;
  current = wanted;
  try {
    localStorage.setItem(STORED, wanted);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
  document.documentElement.lang = wanted;
  document.documentElement.dir = wanted === "ar" ? "rtl" : "ltr";
  for (const tell of listeners) tell();
}

export function preferred(): Locale {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(STORED);
  } catch {
    kept = null;
  }
  for (const wanted of [kept, ...navigator.languages]) {
    const base = wanted?.slice(0, 2);
    if (base && base in LOCALES) return base as Locale;
  }
  return "en";
}

// --- numbers and times, as the language writes them ----------------------------------------------

const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>();
function once<T extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(key: string, make: () => T): T {
  const name = `${current} ${key}`;
  const found = made.get(name) ?? make();
  made.set(name, found);
  return found as T;
}

export function number(value: number, digits = 0): string {
  return once(`n${digits}`, () => new Intl.NumberFormat(current, { maximumFractionDigits: digits })).format(value);
}

/** Dollars; what costs less than a cent is shown to four decimals. */
export function money(value: number | null | undefined): string {
  if (value === null || value === undefined) return "—";
  const digits = value !== 0 && Math.abs(value) < 0.1 ? 4 : 2;
  return once(`m${digits}`, () => new Intl.NumberFormat(current, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits })).format(value);
}

export function percent(share: number): string {
  return once("p", () => new Intl.NumberFormat(current, { style: "percent", maximumFractionDigits: 1 })).format(share);
}

export function moment(iso: string | null | undefined): string {
  if (!iso) return "—";
  return once("d", () => new Intl.DateTimeFormat(current, { dateStyle: "medium", timeStyle: "short" })).format(new Date(iso));
}

export function exact(iso: string): string {
  return once("x", () => new Intl.DateTimeFormat(current, { dateStyle: "full", timeStyle: "long" })).format(new Date(iso));
}

export function day(iso: string): string {
  return once("day", () => new Intl.DateTimeFormat(current, { month: "short", day: "numeric", timeZone: "UTC" })).format(new Date(iso));
}

export function ago(iso: string, now = Date.now()): string {
  const s = Math.round((new Date(iso).getTime() - now) / 1000);
  const f = once("r", () => new Intl.RelativeTimeFormat(current, { numeric: "auto", style: "short" }));
  const abs = Math.abs(s);
  if (abs < 60) return f.format(s, "second");
  if (abs < 3600) return f.format(Math.round(s / 60), "minute");
  if (abs < 86_400) return f.format(Math.round(s / 3600), "hour");
  if (abs < 30 * 86_400) return f.format(Math.round(s / 86_400), "day");
  return moment(iso);
}

/** Seconds as a telephone shows them: 1:05, 1:00:05. */
export function clock(seconds: number | null | undefined, tenths = false): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "—";
  const whole = Math.floor(seconds);
  const h = Math.floor(whole / 3600);
  const m = Math.floor(whole / 60) % 60;
  const s = String(whole % 60).padStart(2, "0");
  const tail = tenths ? `.${Math.floor((seconds - whole) * 10)}` : "";
  return h ? `${h}:${String(m).padStart(2, "0")}:${s}${tail}` : `${m}:${s}${tail}`;
}

export function ms(value: number | null | undefined): string {
  if (value === null || value === undefined) return "—";
  return once("ms", () => new Intl.NumberFormat(current, { style: "unit", unit: "millisecond", unitDisplay: "short", maximumFractionDigits: 0 })).format(value);
}
