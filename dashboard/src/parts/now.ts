// The time, for what counts seconds while one looks at it.
import { useEffect, useState } from "react";

/** Milliseconds of the epoch, anew each second while `runs`. */
export function useNow(runs = true): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!runs) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [runs]);
  return now;
}
