export function Calls() { return <div className="page"><h1>Calls</h1></div>; }
