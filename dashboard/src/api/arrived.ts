// What stood behind the ? when the page was loaded, letter for letter: the router reads values as
// JSON and writes them anew, which a code of an identity provider does not survive.
export const arrived = new URLSearchParams(window.location.search);
