// Days of filters, where whoever looks is.

/** When a day begins. */
export function dayBegins(day: string | undefined): string | undefined {
  return day ? new Date(`${day}T00:00`).toISOString() : undefined;
}

/** When it is over. */
export function dayEnds(day: string | undefined): string | undefined {
  if (!day) return undefined;
  const at = new Date(`${day}T00:00`);
  at.setDate(at.getDate() + 1);
  return at.toISOString();
}
