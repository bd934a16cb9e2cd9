export function Numbers() { return <div className="page"><h1>Numbers</h1></div>; }
