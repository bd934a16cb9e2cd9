// Icons of 16 units, drawn with the text's colour.
const PATHS = {
  home: "M2.5 7 8 2.5 13.500 7v6.500h-3.500v-4h-4v4H2.5z",
  agents: "M8 2v2M4 4.500h8a1.500 1.500 0 0 1 1.500 1.500v5a1.500 1.500 0 0 1-1.500 1.500H4A1.500 1.500 0 0 1 2.500 11V6A1.500 1.500 0 0 1 4 4.500zM5.800 8v1M10.200 8v1M6 14h4",
  calls: "M5.200 2.500 3.500 3c-1 .4-1.200 1.500-1 2.500.9 4.200 3.800 7.100 8 8 1 .2 2.100 0 2.500-1l.5-1.700-3-1.600-1.300 1.300C7.600 9.800 6.200 8.400 5.500 6.800L6.800 5.500z",
  live: "M8 6.500a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3zM5 11a4.200 4.200 0 0 1 0-6M11 5a4.200 4.200 0 0 1 0 6M2.800 13a7 7 0 0 1 0-10M13.200 3a7 7 0 0 1 0 10",
  numbers: "M6.500 2.500 5 13.500M11 2.500 9.500 13.500M2.800 6h10.700M2.500 10h10.700",
  tools: "M9.500 3a3.200 3.200 0 0 0-.6 4.100L3 13l1 .9L9.900 8a3.200 3.200 0 0 0 4-4l-1.800 1.800-1.700-.4-.4-1.700L11.800 2A3.200 3.200 0 0 0 9.500 3z",
  knowledge: "M3 3.500c1.800-.7 3.400-.5 5 .5 1.600-1 3.200-1.200 5-.5v9c-1.800-.7-3.400-.5-5 .5-1.600-1-3.200-1.200-5-.5zM8 4v9",
  settings: "M2.500 4.500h6M11.500 4.500h2M2.500 11.500h2M7.500 11.500h6M8.500 3h3v3h-3zM4.500 10h3v3h-3z",
  search: "M7 2.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zM10.500 10.500l3 3",
  copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z",
  check: "M3 8.500 6.500 12 13 4.500",
  plus: "M8 3v10M3 8h10",
  more: "M3.500 8h.01M8 8h.01M12.500 8h.01",
  close: "M4 4l8 8M12 4l-8 8",
  play: "M5 3.200v9.600L12.500 8z",
  pause: "M5 3v10M11 3v10",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
  undo: "M6 3.500 3 6.500l3 3M3.500 6.500H10a3 3 0 0 1 0 6H7",
  down: "M8 3v8M4.500 8 8 11.500 11.500 8M3 13.500h10",
  mic: "M8 2a2 2 0 0 1 2 2v4a2 2 0 1 1-4 0V4a2 2 0 0 1 2-2zM3.500 7.500a4.500 4.500 0 0 0 9 0M8 12v2",
  warn: "M8 2.500 14 13H2zM8 6.500v3M8 11.200v.01",
  out: "M6.500 3h-4v10h4M10 5l3 3-3 3M13 8H6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  const heavy = name === "more";
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" fill={name === "play" ? "currentColor" : "none"} stroke="currentColor" strokeWidth={heavy ? 2.4 : 1.35} strokeLinecap="round" strokeLinejoin="round">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--accent)" />
      <path d="M8 14v4M13 9.500v13M19 12v8M24 7v18" stroke="var(--on-accent)" strokeWidth="2.6" strokeLinecap="round" />
    </svg>
  );
}
