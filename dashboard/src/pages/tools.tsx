export function Tools() { return <div className="page"><h1>Tools</h1></div>; }
