import type { ReactNode } from "react";

// Bars, as a list that reads without seeing it.
export function Bars({ rows, format, label, tone = "accent" }: { rows: { label: string; value: number; title?: string; shown?: ReactNode }[]; format: (value: number) => string; label: string; tone?: "accent" | "caller" | "bad" }) {
  const most = Math.max(...rows.map((row) => row.value), 0.000001);
  return (
    <ul className="bars" aria-label={label}>
      {rows.map((row, n) => (
        <li key={`${row.label} ${n}`} title={row.title ?? `${row.label}: ${format(row.value)}`}>
          <span className="small quiet cut">{row.shown ?? row.label}</span>
          <span className="track">
            <span className={tone} style={{ width: `${(row.value / most) * 100}%` }} />
          </span>
          <span className="small num end">{format(row.value)}</span>
        </li>
      ))}
    </ul>
  );
}

/** Columns over time, `within` a part of each from below, such as the median of what the whole is
    p95 of; the table behind them is for whoever does not see them. */
export function Columns({ rows, format, label, unit }: { rows: { label: string; value: number; within?: number }[]; format: (value: number) => string; label: string; unit: string }) {
  const most = Math.max(...rows.map((row) => row.value), 0.000001);
  return (
    <figure className="columns-chart">
      <figcaption className="small quiet">
        {label} <span className="num">{format(most > 0.0001 ? most : 0)}</span> {unit}
      </figcaption>
      <div aria-hidden="true">
        {rows.map((row, n) => (
          <span key={`${row.label} ${n}`} title={`${row.label}: ${told(row, format)}`}>
            <i style={{ height: `${(row.value / most) * 100}%` }}>{row.within ? <b style={{ height: `${(row.within / Math.max(row.value, 1)) * 100}%` }} /> : null}</i>
          </span>
        ))}
      </div>
      <div className="ends small quiet" aria-hidden="true">
        <span>{rows[0]?.label}</span>
        <span>{rows[rows.length - 1]?.label}</span>
      </div>
      <table className="hidden">
        <caption>{label}</caption>
        <tbody>
          {rows.map((row, n) => (
            <tr key={`${row.label} ${n}`}>
              <th scope="row">{row.label}</th>
              <td>{told(row, format)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

function told(row: { value: number; within?: number }, format: (value: number) => string): string {
  return row.within === undefined ? format(row.value) : `p50 ${format(row.within)}, p95 ${format(row.value)}`;
}
