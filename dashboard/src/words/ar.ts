import type { Catalogue } from "."; import { en } from "./en"; export const ar: Catalogue = en;
