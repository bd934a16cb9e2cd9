/** From when on an answer is marked as slow: in a call's transcript, and among live calls. */
export const SLOW_MS = 1500;
