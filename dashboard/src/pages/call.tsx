export function CallPage() { return <div className="page"><h1>CallPage</h1></div>; }
